// Banner while the server does not respond: tries again by itself, and on request.

import { fetchFrom, whenReached } from "./api.js";
import { h } from "./dom.js";

const SECONDS = 4;

export class Banner {
  /** @param {() => void} reconnected */
  constructor(reconnected) {
    this.reconnected = reconnected;
    this.timer = 0;
    this.text = h("span", { class: "grow" });
    this.button = h("button", { type: "button", class: "banner-button", onclick: () => this.retry() }, "Try again");
    this.element = h("div", { class: "banner", role: "alert", hidden: true }, this.text, this.button);
    whenReached((status) => this.reached(status));
  }

  /** @param {number} status of a response; 0 for none */
  reached(status) {
    if (status === 0) {
      if (this.element.hidden) this.show("The viewer does not respond. Is wetread view still running on the machine with the images? Trying again …");
    } else if (status === 401 && !this.element.hidden) {
      this.show("The viewer was started again and has a new address: open the one that it printed.");
      clearTimeout(this.timer);
    } else if (!this.element.hidden) {
      clearTimeout(this.timer);
      this.element.hidden = true;
      this.reconnected();
    }
  }

  /** @param {string} text */
  show(text) {
    this.text.textContent = text;
    this.element.hidden = false;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.retry(), 1000 * SECONDS);
  }

  async retry() {
    clearTimeout(this.timer);
    try {
      await fetchFrom("about");
    } catch {
      if (!this.element.hidden) this.timer = setTimeout(() => this.retry(), 1000 * SECONDS);
    }
  }
}
