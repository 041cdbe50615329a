// Conditions in SQL: a filter is a list of terms joined by AND; each term is one chip.

/** @param {string} name */
export function quoteName(name) {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

/** @param {string | number | boolean} value */
export function quoteValue(value) {
  return typeof value === "string" ? `'${value.replaceAll("'", "''")}'` : String(value);
}

/**
 * Condition for one value of a column; `toggle` merges several values of a column into one term.
 * @param {import("./types").Column} column @param {string | number | boolean | null} value
 */
export function equal({ name, type }, value) {
  const quoted = quoteName(name);
  if (value === null) return type === "list" ? `coalesce(len(${quoted}), 0) = 0` : `${quoted} IS NULL`;
  if (name === "problems") return `list_contains(list_transform(problems, lambda f: f.code), ${quoteValue(value)})`;
  return type === "list" ? `list_contains(${quoted}, ${quoteValue(value)})` : `${quoted} = ${quoteValue(value)}`;
}

const LITERAL = String.raw`(?:'(?:[^']|'')*'|[^\s,()']+)`;

/** Values, as SQL literals, of a term created by `toggle` for this column; else null. @param {string} term @param {string} column */
export function valuesOf(term, column) {
  const name = quoteName(column);
  if (!term.startsWith(`${name} `)) return null;
  const rest = term.slice(name.length + 1);
  if (new RegExp(`^= ${LITERAL}$`).test(rest)) return [rest.slice(2)];
  if (!new RegExp(String.raw`^IN \(${LITERAL}(?:, ${LITERAL})*\)$`).test(rest)) return null;
  return rest.slice(4, -1).match(new RegExp(LITERAL, "g"));
}

/**
 * Adds a value of a column to the terms, or removes it.
 * @param {string[]} terms @param {import("./types").Column} column
 * @param {string | number | boolean | null} value @param {string} [condition] of the server
 */
export function toggle(terms, column, value, condition) {
  const own = condition ?? equal(column, value);
  if (terms.includes(own)) return terms.filter((term) => term !== own);
  if (condition || value === null || column.type === "list") return [...terms, own];
  const at = terms.findIndex((term) => valuesOf(term, column.name));
  if (at < 0) return [...terms, own];
  const literal = quoteValue(value);
  const old = valuesOf(terms[at], column.name) ?? [];
  const next = old.includes(literal) ? old.filter((one) => one !== literal) : [...old, literal];
  const name = quoteName(column.name);
  const term = next.length === 1 ? `${name} = ${next[0]}` : `${name} IN (${next.join(", ")})`;
  return terms.map((one, i) => (i === at ? term : one));
}

/**
 * @param {string} column @param {number | string} low @param {number | string} high
 * @param {boolean} closed includes the high end
 */
export function within(column, low, high, closed) {
  const name = quoteName(column);
  return `(${name} >= ${quoteValue(low)} AND ${name} ${closed ? "<=" : "<"} ${quoteValue(high)})`;
}

/** Limits, as text, of a term created by `within` for this column; else null. @param {string} term @param {string} column @returns {[string, string] | null} */
export function rangeOf(term, column) {
  const name = escaped(quoteName(column));
  const match = new RegExp(`^\\(${name} >= (${LITERAL}) AND ${name} <=? (${LITERAL})\\)$`).exec(term);
  return match && [match[1].replaceAll("'", ""), match[2].replaceAll("'", "")];
}

/** True if a term was created by the facet of a column. @param {string} term @param {import("./types").Column} column */
export function isOf(term, column) {
  const { name } = column;
  const list = column.type === "list" && (term.startsWith(`list_contains(${quoteName(name)}, `) || (name === "problems" && term.startsWith("list_contains(list_transform(problems")));
  return valuesOf(term, name) !== null || rangeOf(term, name) !== null || term === equal(column, null) || list;
}

/** @param {string} text */
function escaped(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** @param {string[]} terms */
export function join(terms) {
  return terms.length > 1 ? terms.map(guarded).join(" AND ") : (terms[0] ?? "");
}

/** Puts a term with OR in parentheses. @param {string} term */
function guarded(term) {
  return words(term).some(({ word, depth }) => depth === 0 && word === "OR") ? `(${term})` : term;
}

/**
 * Splits a filter at each top-level AND, except for those of BETWEEN.
 * @param {string} where
 * @returns {string[]}
 */
export function split(where) {
  const keywords = words(where).filter(({ depth }) => depth === 0);
  if (keywords.some(({ word }) => word === "OR" || word === "CASE")) return [where.trim()];
  const terms = [];
  let start = 0;
  let between = false;
  for (const { word, at } of keywords) {
    if (word === "BETWEEN") between = true;
    else if (word === "AND" && between) between = false;
    else if (word === "AND") {
      terms.push(where.slice(start, at).trim());
      start = at + 3;
    }
  }
  terms.push(where.slice(start).trim());
  return terms.filter(Boolean);
}

/**
 * Words outside quotes, in capitals, with their depth in parentheses.
 * @param {string} text
 */
function words(text) {
  const tokens = [];
  let depth = 0;
  for (const match of text.matchAll(/'(?:[^']|'')*'|"(?:[^"]|"")*"|[()]|\w+/g)) {
    const [token] = match;
    if (token === "(") depth++;
    else if (token === ")") depth--;
    else if (/\w/.test(token[0])) tokens.push({ word: token.toUpperCase(), depth, at: match.index });
  }
  return tokens;
}
