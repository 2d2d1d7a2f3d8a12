// What a script finds around it, and how a message goes in and comes out. This runs once, before any
// script; what it needs later it takes now, so that a script that changes the language changes it for
// itself only. What throws ends in the worker, which tells the host.
(function () {
  "use strict";

  const global = globalThis;
  const { hark_emit: emit, hark_log: log } = global;
  delete global.hark_emit;
  delete global.hark_log;

  const { parse, stringify } = JSON;
  const { keys, entries, defineProperty } = Object;
  const { isArray } = Array;
  const text = String;
  const evaluate = eval; // called by another name it sees what scripts declare, and nothing in here
  const { then } = Promise.prototype;
  const call = Function.prototype.call.bind(Function.prototype.call);

  // Bad is thrown for a result that cannot be used; its message is the sentence for the person.
  class Bad {
    constructor(message) { this.message = message; }
    get name() { return "HarkBad"; }
    toString() { return this.message; }
  }

  function hidden(name, value) {
    defineProperty(global, name, { value, writable: true, configurable: true, enumerable: false });
  }

  // ---- console ----

  function shown(value) {
    if (typeof value === "string") return value;
    if (value instanceof Error) return value.stack ? text(value) + "\n" + value.stack : text(value);
    if (typeof value === "object" && value !== null) {
      try {
        return stringify(value) ?? text(value);
      } catch {
        return text(value);
      }
    }
    return text(value);
  }

  function line(values) {
    let out = "";
    for (let i = 0; i < values.length; i++) out += (i ? " " : "") + shown(values[i]);
    return out;
  }

  hidden("console", {
    debug(...values) { log(0, line(values)); },
    log(...values) { log(1, line(values)); },
    info(...values) { log(1, line(values)); },
    warn(...values) { log(2, line(values)); },
    error(...values) { log(3, line(values)); },
  });

  // ---- Hookdeck's way of naming the handler ----

  let added;
  hidden("addHandler", function addHandler(name, handler) {
    if (name !== "transform") throw new TypeError('addHandler knows only "transform"');
    if (typeof handler !== "function") throw new TypeError('addHandler("transform", …) wants a function');
    added = handler;
  });

  // ---- a message goes in ----

  let dialect, message, again, original, outcome;

  // prepare runs before the script, which may read its environment while it starts.
  function prepare(input) {
    message = parse(input);
    again = parse(input);
    hidden("process", { env: again.env });
  }

  function parsed() {
    if (original === "") return null;
    try {
      return parse(original);
    } catch (error) {
      if (error instanceof SyntaxError) return original; // not JSON: the script gets the text
      throw error;
    }
  }

  // find says which dialect the script is written in.
  function find() {
    const handler = evaluate("typeof handler === 'function' ? handler : undefined");
    dialect = added ? "hookdeck" : handler ? "svix" : "";
    return handler;
  }

  function dialectOf() {
    find();
    return dialect;
  }

  // begin calls the handler. It says whether there is something to wait for.
  function begin(payload) {
    const handler = find();
    if (!dialect) throw new Bad("The script had a handler when it was saved, and has none now.");
    original = payload;
    const { env, connection, method, url, eventType, headers, query, parsed_query, path } = again;
    const value = dialect === "hookdeck"
      ? added({ headers, body: parsed(), query, parsed_query, path }, { env, connection })
      : handler({ method, url, eventType, payload: parsed(), headers, cancel: false, variables: env });
    outcome = { state: "done", value };
    if (!(value instanceof Promise)) return false;
    outcome = { state: "waiting" };
    call(then, value, v => { outcome = { state: "done", value: v }; }, e => { outcome = { state: "failed", value: e }; });
    return true;
  }

  function waits() {
    return outcome.state === "waiting";
  }

  // ---- and comes out ----

  function kind(value) {
    return value === null ? "null" : isArray(value) ? "an array" : typeof value === "object" ? "an object"
      : typeof value === "function" ? "a function" : value === undefined ? "undefined" : "a " + typeof value;
  }

  function written(name, value) {
    if (typeof value === "string") return value;
    if (value === null || value === undefined) {
      if (original === "") return "";
      throw new Bad(`${name} must be an object, an array or a string, it is ${kind(value)}.`);
    }
    if (typeof value === "function" || typeof value === "symbol") throw new Bad(`${name} must not be ${kind(value)}.`);
    let out;
    try {
      out = stringify(value);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new Bad(`${name} cannot be written as JSON: ${error.message}.`);
    }
    if (out === undefined) throw new Bad(`${name} cannot be written as JSON.`);
    return out;
  }

  // body emits the payload, unless it says what it said before: then its bytes stay as they are.
  function body(name, value) {
    const out = written(name, value);
    if (out === original) return;
    const before = parsed();
    if (before !== null && out === (typeof before === "string" ? before : stringify(before))) return;
    emit(out);
  }

  function string(name, value, before) {
    if (value === before || value === undefined) return undefined;
    if (typeof value !== "string") throw new Bad(`${name} must be a string, it is ${kind(value)}.`);
    return value;
  }

  function header(name, value) {
    if (typeof value === "string") return value;
    if (typeof value === "number" || typeof value === "boolean") return text(value);
    throw new Bad(`The header ${name} must be a string, it is ${kind(value)}.`);
  }

  // headers says which are new or other, and which are gone. A value of null or undefined is gone.
  function headers(now) {
    const set = {}, before = message.headers;
    if (now === undefined || now === null) return { set, gone: [] };
    if (typeof now !== "object" || isArray(now)) throw new Bad(`headers must be an object, it is ${kind(now)}.`);
    for (const name of keys(now)) {
      const value = now[name];
      if (value === undefined || value === null) continue;
      if (value !== before[name]) set[name] = header(name, value);
    }
    const gone = [];
    let n = 0;
    for (const name of keys(before)) {
      if (now[name] === undefined || now[name] === null) defineProperty(gone, n++, { value: name, enumerable: true });
    }
    return { set, gone };
  }

  // query is the changed query, either as text or as an object of it; the text wins.
  function query(request) {
    const q = string("query", request.query, message.query);
    const object = request.parsed_query;
    if (q !== undefined || object === undefined || stringify(object) === stringify(message.parsed_query)) return { query: q };
    if (object === null || typeof object !== "object" || isArray(object)) {
      throw new Bad(`parsed_query must be an object, it is ${kind(object)}.`);
    }
    const parameters = {};
    for (const [name, value] of entries(object)) {
      const values = isArray(value) ? value : [value];
      const list = [];
      for (let i = 0; i < values.length; i++) {
        if (typeof values[i] === "object" || typeof values[i] === "function" || typeof values[i] === "symbol") {
          throw new Bad(`The query parameter ${name} must be a string, it is ${kind(values[i])}.`);
        }
        defineProperty(list, i, { value: text(values[i]), enumerable: true });
      }
      parameters[name] = list;
    }
    return { parameters };
  }

  function result(value) {
    if (dialect === "hookdeck") {
      if (!value) return { canceled: true };
      if (typeof value !== "object" || isArray(value)) {
        throw new Bad(`The handler must return the request, it returned ${kind(value)}.`);
      }
      body("body", value.body);
      return { headers: headers(value.headers), path: string("path", value.path, message.path), ...query(value) };
    }
    if (value === null || typeof value !== "object" || isArray(value)) {
      throw new Bad(`The handler must return the webhook, it returned ${kind(value)}. Does it end with return webhook?`);
    }
    const { cancel } = value;
    if (cancel === true) return { canceled: true };
    if (cancel !== false && cancel !== undefined && cancel !== null) {
      throw new Bad(`cancel must be true or false, it is ${kind(cancel)}.`);
    }
    body("payload", value.payload);
    return {
      headers: headers(value.headers),
      method: string("method", value.method, message.method),
      url: string("url", value.url, message.url),
      eventType: string("eventType", value.eventType, message.eventType),
    };
  }

  // finish says what changed. It emits the payload, if that did.
  function finish() {
    if (outcome.state === "failed") throw outcome.value;
    if (outcome.state === "waiting") {
      throw new Bad("The handler returned a promise that nothing will ever resolve: there are no timers and no network to wait for.");
    }
    return stringify(result(outcome.value));
  }

  return { prepare, dialect: dialectOf, begin, waits, finish };
})()
