"""Browser tests step by step: actions and reads wait until the page is idle.

Playwright waits until an element can be clicked, and in `expect`. But a read (`inner_text`,
`count`, `bounding_box`) returns what the page shows at that moment, and a key is pressed at that
moment: on a busy machine before the response to the last step. `SCRIPT` counts in the page what
is under way: requests, short timers, images.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import pytest

SECONDS = 10
"""Upper bound of one wait, or `page.seconds`: a page is not idle if a response is held back."""
READS = """
all all_inner_texts all_text_contents bounding_box count eval_on_selector eval_on_selector_all
evaluate evaluate_all get_attribute inner_html inner_text input_value is_checked is_disabled
is_enabled is_hidden is_visible screenshot text_content wait_for_selector
"""
ACTIONS = "check click dblclick fill hover press select_option uncheck"
KEYS = "down insert_text press type"
BUTTONS = "click dblclick down wheel"
"""Not `move`: a drag is one step."""
NAVIGATION = "go_back go_forward reload set_viewport_size"
SCRIPT = """(() => {
const log = window.fetchLog = [];
const under = new Set();
const { fetch: fetch_, setTimeout: set, clearTimeout: clear } = window;
const during = (promise) => {
  const mark = {};
  under.add(mark);
  return promise.finally(() => set(() => under.delete(mark)));  // after what the page does with it
};
window.fetch = async (url, options) => {
  const close = () => log.push([String(url), -1]);
  log.push([String(url), 1]);
  try {
    const response = await during(fetch_(url, options));
    for (const read of ["blob", "json", "arrayBuffer"])
      response[read] = () => during(Response.prototype[read].call(response).finally(close));
    return response;
  } catch (error) {
    close();
    throw error;
  }
};
window.setTimeout = (task, wait = 0, ...values) => {
  const id = set(() => {
    under.delete(id);
    task(...values);
  }, wait);
  if (wait < 1000) under.add(id);
  return id;
};
window.clearTimeout = (id) => {
  under.delete(id);
  clear(id);
};
window.idle = async (seconds) => {
  if (!document.querySelector("[href='static/app.css']")) return true;  // a report, a notebook
  const end = performance.now() + 1000 * seconds;
  do {
    await new Promise((resolve) => requestAnimationFrame(() => set(resolve)));
    const images = [...document.images].filter((image) => image.loading !== "lazy");
    if (!under.size && images.every((image) => image.complete)) return true;
  } while (performance.now() < end);
  return false;
};
})();"""


def wait_until_idle(page: Any, step: str) -> None:
    """Wait until nothing is under way on a page of the viewer, or until it takes too long."""
    if page.read_now("seconds => window.idle?.(seconds)", page.seconds) is False:
        logging.getLogger(__name__).info("not idle: %s", step)


def make_steps_wait(patch: pytest.MonkeyPatch) -> None:
    """Make Playwright wait; `page.read_now` and `page.keyboard_now` do not."""
    from playwright.sync_api import Browser, Locator, Page

    patch.setattr(Page, "seconds", SECONDS, raising=False)
    patch.setattr(Page, "read_now", Page.evaluate, raising=False)
    patch.setattr(Page, "keyboard_now", Page.keyboard, raising=False)
    for kind in (Page, Locator):
        for name in f"{READS} {ACTIONS}".split():
            if hasattr(kind, name):
                patch.setattr(kind, name, waiting(getattr(kind, name)))
    for name in NAVIGATION.split():
        patch.setattr(Page, name, waiting(getattr(Page, name), after=True))
    patch.setattr(Browser, "new_context", with_script(Browser.new_context))
    patch.setattr(Page, "goto", waiting(from_blank(Page.goto), after=True))
    for name, steps in (("keyboard", KEYS), ("mouse", BUTTONS)):
        find = functools.partial(Device, steps.split(), getattr(Page, name).fget)
        patch.setattr(Page, name, property(find))


def waiting(do: Callable[..., Any], after: bool = False) -> Callable[..., Any]:
    """Method of a page or locator that waits before the step, or after it."""

    def wait(self: Any) -> None:
        wait_until_idle(getattr(self, "page", self), do.__name__)

    @functools.wraps(do)
    def wait_and_do(self: Any, *values: Any, **options: Any) -> Any:
        wait(self)
        return do(self, *values, **options)

    @functools.wraps(do)
    def do_and_wait(self: Any, *values: Any, **options: Any) -> Any:
        result = do(self, *values, **options)
        wait(self)
        return result

    return do_and_wait if after else wait_and_do


def with_script(new_context: Callable[..., Any]) -> Callable[..., Any]:
    """`Browser.new_context` whose pages run `SCRIPT` first."""

    @functools.wraps(new_context)
    def make(*values: Any, **options: Any) -> Any:
        context = new_context(*values, **options)
        context.add_init_script(SCRIPT)
        return context

    return make


def from_blank(goto: Callable[..., Any]) -> Callable[..., Any]:
    """`Page.goto` from a blank page; on the viewer's own page, a token in an address reloads it."""

    @functools.wraps(goto)
    def go(self: Any, url: str, **options: Any) -> Any:
        if self.url != "about:blank":
            goto(self, "about:blank")
        return goto(self, url, **options)

    return go


class Device:
    """Keyboard or mouse of a page, some of whose methods wait."""

    def __init__(self, steps: list[str], find: Callable[[Any], Any], page: Any) -> None:
        self.page, self.device, self.steps = page, find(page), steps

    def __getattr__(self, name: str) -> Any:
        if name in self.steps:
            wait_until_idle(self.page, name)
        return getattr(self.device, name)


__all__ = ["make_steps_wait"]
