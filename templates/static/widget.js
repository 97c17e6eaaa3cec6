/* policy-notifier's widget: <policy-notices token-url="/my/token">. Apache-2.0. How to use it: docs/widget.md */
(() => {
"use strict";
const base = document.currentScript ? new URL("..", document.currentScript.src).href : "";
const SAYS = {
  en: {notice: "Notice", read: "Read", close: "Close", go: "Continue", accept: "I accept", object: "I object",
    accepted: "Your acceptance was recorded.", objected: "Your objection was recorded.", failed: "That did not work, and nothing was recorded. Please try again.",
    changed: "This page is no longer up to date, and nothing was recorded. Please look again.", inbox: "Messages", unread: "unread", none: "No messages.", back: "All messages", seen: "I have seen this"},
  ja: {notice: "お知らせ", read: "読む", close: "閉じる", go: "続ける", accept: "承諾する", object: "異議を申し出る",
    accepted: "承諾を記録しました。", objected: "異議を記録しました。", failed: "処理できませんでした。何も記録されていません。もう一度お試しください。",
    changed: "内容が更新されたため、何も記録されていません。もう一度ご確認ください。", inbox: "メッセージ", unread: "未読", none: "メッセージはありません。", back: "一覧へ戻る", seen: "確認しました"},
};
const CSS = `:host{all:initial;font:var(--pn-font,16px/1.6 system-ui,sans-serif);color:var(--pn-text,#1f2933)}
*{box-sizing:border-box}[hidden]{display:none!important}
.bar,dialog,.box{background:var(--pn-surface,#fff);color:inherit;border:1px solid var(--pn-line,#c9d1da);border-radius:var(--pn-radius,10px);padding:14px 18px;overflow-wrap:anywhere}
.bar{position:fixed;inset:auto 12px 12px;z-index:var(--pn-layer,2147483000);max-width:720px;margin:auto;max-height:70vh;box-shadow:0 4px 24px #0003}
dialog{width:min(680px,calc(100vw - 24px));max-height:calc(100vh - 24px)}dialog::backdrop{background:#000a}
.row{display:flex;flex-wrap:wrap;gap:8px;align-items:center;margin:10px 0 0}dialog[open],.bar{display:flex;flex-direction:column}.bar>.row{margin:0}.words{overflow:auto}b{flex:1 1 12em}
button{font:inherit;color:inherit;background:none;border:1px solid currentColor;border-radius:6px;padding:8px 16px;min-height:44px;cursor:pointer}
.main{background:var(--pn-accent,#1d5fbf);border-color:transparent;color:var(--pn-on-accent,#fff)}
:focus-visible{outline:3px solid var(--pn-accent,#1d5fbf);outline-offset:2px}a{color:var(--pn-accent,#1d5fbf)}
h1{font-size:1.3em;line-height:1.35}h2{font-size:1.1em}h3{font-size:1em}del{text-decoration:line-through}ins{text-decoration:underline;font-weight:600}del+ins{margin-inline-start:.25em}
.quote{border-left:3px solid var(--pn-accent,#1d5fbf);padding-left:14px}.box{margin-top:8px}ul.list{list-style:none;margin:0;padding:0}.list button{width:100%;text-align:start;margin-top:6px}
.new{font-weight:700}.words{outline:0}`;
const TAGS = new Set("P BR UL OL LI STRONG EM CODE A BLOCKQUOTE H1 H2 H3 DL DT DD DIV SPAN INS DEL".split(" "));
const trusted = self.trustedTypes?.createPolicy("policy-notices", {createHTML: (html) => html});
const sheet = new CSSStyleSheet();
sheet.replaceSync(CSS);

function make(tag, given = {}, ...inner) {
  const {on, ...rest} = given, el = document.createElement(tag);
  for (const [name, value] of Object.entries(rest)) if (value != null) el.setAttribute(name, value);
  if (on) el.addEventListener("click", on);
  el.append(...inner);
  return el;
}

/* The service sends harmless HTML; here again nothing passes but words, their structure, and links. */
function copied(from, to) {
  for (const node of from.childNodes) {
    if (node.nodeType === 3) to.append(node.data);
    else if (TAGS.has(node.nodeName)) {
      const el = make(node.nodeName, {lang: node.getAttribute("lang"), dir: node.getAttribute("dir")});
      const href = node.getAttribute("href");
      if (node.nodeName === "A" && /^(https?:|mailto:)/i.test(href)) Object.assign(el, {href, target: "_blank", rel: "noopener noreferrer"});
      if (node.className === "quote") el.className = "quote";
      to.append(copied(node, el));
    } else if (node.nodeType === 1 && !/^(script|style|template)$/i.test(node.nodeName)) copied(node, to);
  }
  return to;
}

/* Once at least half of it, or a third of a window full of it, was in sight for a whole second, covered by nothing. */
function onceSeen(el, then) {
  let near = false, timer;
  const look = () => {
    clearTimeout(timer);
    if (near && document.visibilityState === "visible") timer = setTimeout(() => { stop(); then(); }, 1000);
  };
  const watch = new IntersectionObserver((entries) => {
    const e = entries.at(-1), here = e.intersectionRect.height;
    near = here > 0 && here >= Math.min(el.scrollHeight / 2, innerHeight / 3) && e.isVisible !== false;
    look();
  }, {threshold: [0, .05, .1, .2, .3, .4, .5, .75, 1], trackVisibility: true, delay: 100});
  const stop = () => { clearTimeout(timer); watch.disconnect(); document.removeEventListener("visibilitychange", look); };
  document.addEventListener("visibilitychange", look);
  watch.observe(el);
  return stop;
}

class PolicyNotices extends HTMLElement {
  connectedCallback() {
    if (this.root) return;
    this.root = this.attachShadow({mode: "open"});
    this.root.adoptedStyleSheets = [sheet];
    const lang = this.getAttribute("lang") || document.documentElement.lang || navigator.language;
    this.lang_ = /^ja\b/i.test(lang) ? "ja" : "en";
    this.say = SAYS[this.lang_];
    this.base = (this.getAttribute("service") || base).replace(/\/*$/, "");
    this.start().catch((problem) => this.dispatchEvent(new CustomEvent("policy-notices-problem", {detail: String(problem)})));
  }

  async start() {
    if (!(await this.token())) return; /* nobody is signed in */
    if (this.hasAttribute("inbox")) await this.inbox();
    await this.pending();
  }

  async token() {
    if (this.hasAttribute("token")) return this.given = this.getAttribute("token");
    const answer = await fetch(this.getAttribute("token-url"), {headers: {Accept: "application/json"}, cache: "no-store"});
    return this.given = answer.ok && answer.status !== 204 ? (await answer.json()).token : null;
  }

  /* Patient: what may pass is tried again, later each time, and not for ever. */
  async ask(path, body) {
    for (let tries = 0, renewed = false; ; tries++) {
      let answer, pause = 1000 * 2 ** tries * (1 + Math.random());
      try {
        answer = await fetch(this.base + "/v1/inbox" + path, {
          method: body ? "POST" : "GET", credentials: "omit", cache: "no-store",
          headers: {Authorization: "Bearer " + this.given, ...(body && {"Content-Type": "application/json"})},
          body: body && JSON.stringify(body),
        });
      } catch { /* no network */ }
      if (answer?.ok) return answer.json();
      if (answer?.status === 401 && !renewed && (renewed = true) && await this.token()) continue;
      if (answer && answer.status < 500 && answer.status !== 429) throw answer.status;
      if (tries >= 5) throw answer?.status ?? "no network";
      pause = Math.max(pause, 1000 * (Number(answer?.headers.get("Retry-After")) || 0));
      await new Promise((done) => setTimeout(done, pause));
    }
  }

  words(html, lang) {
    const parsed = new DOMParser().parseFromString(trusted ? trusted.createHTML(html) : html, "text/html");
    return copied(parsed.body, make("div", {class: "words", part: "words", lang, tabindex: "-1"}));
  }

  button(words, on, main) {
    return make("button", {type: "button", class: main && "main", part: main ? "button main" : "button", on}, words);
  }

  async pending() {
    const {versions} = await this.ask("/pending");
    const order = ["gate", "page", "banner"];
    for (const one of versions.filter((v) => v.notice).sort((a, b) => order.indexOf(a.show) - order.indexOf(b.show))) {
      await (one.show === "banner" ? this.banner(one) : this.page(one));
    }
  }

  report(one) {
    const {policy, version, notice: {locale, statement}} = one;
    const said = {policy, version, locale, statement};
    return {said, shown: () => this.ask("/pending/shown", said).then(() => this.tell("shown", one)).catch(() => {})};
  }

  tell(what, {policy, version}) {
    this.dispatchEvent(new CustomEvent("policy-notices-" + what, {detail: {policy, version}}));
  }

  banner(one) {
    return new Promise((done) => {
      const {shown} = this.report(one), words = this.words(one.notice.html, one.notice.locale);
      words.hidden = true;
      let stop = () => {};
      const read = this.button(this.say.read, () => {
        words.hidden = !words.hidden;
        read.setAttribute("aria-expanded", String(!words.hidden));
        stop();
        if (!words.hidden) { words.focus(); stop = onceSeen(words, shown); }
      }, true);
      read.setAttribute("aria-expanded", "false");
      const close = () => { stop(); bar.remove(); done(); };
      const bar = make("section", {class: "bar", part: "banner", lang: this.lang_, "aria-label": this.say.notice},
        make("div", {class: "row"}, make("b", {lang: one.notice.locale, role: "status"}), read, this.button(this.say.close, close)), words);
      bar.addEventListener("keydown", (e) => e.key === "Escape" && close());
      this.root.append(bar);
      bar.querySelector("b").textContent = one.notice.subject; /* after it is there, so that it is read out */
    });
  }

  page(one) {
    return new Promise((done) => {
      const gate = one.show === "gate", {said, shown} = this.report(one);
      const words = this.words(one.notice.html, one.notice.locale), status = make("p", {role: "status", part: "status"});
      const row = make("div", {class: "row"});
      const box = make("dialog", {part: "dialog", closedby: gate ? "none" : null, lang: this.lang_, "aria-label": one.notice.subject}, words, status, row);
      let over = false;
      const end = () => { over = true; stop(); box.close(); box.remove(); done(); };
      const act = async (kind) => {
        for (const b of row.children) b.disabled = true;
        try {
          await this.ask("/pending/acts", {...said, act: kind});
          status.textContent = this.say[kind + "ed"];
          this.tell(kind + "ed", one);
          if (kind === "accept") return row.replaceChildren(this.button(this.say.go, end, true));
        } catch (problem) {
          status.textContent = problem === 409 ? this.say.changed : this.say.failed;
        }
        for (const b of row.children) b.disabled = false;
      };
      if (gate) row.append(this.button(this.say.accept, () => act("accept"), true), this.button(this.say.object, () => act("object")));
      else row.append(this.button(this.say.go, end, true));
      box.addEventListener("close", () => over || (gate ? box.showModal() : end())); /* browsers let a second Escape through */
      this.root.append(box);
      box.showModal();
      words.focus();
      const stop = onceSeen(words, shown);
    });
  }

  async inbox() {
    const count = make("span", {part: "count"}), list = make("div", {class: "box", part: "inbox"});
    const open = this.button("", () => { list.hidden = !list.hidden; open.setAttribute("aria-expanded", String(!list.hidden)); if (!list.hidden) show(); });
    open.append(this.say.inbox, " ", count);
    open.setAttribute("aria-expanded", "false");
    list.hidden = true;
    let stop = () => {};
    const refresh = async () => {
      const box = await this.ask("");
      count.textContent = box.unread ? `(${box.unread} ${this.say.unread})` : "";
      return box.messages;
    };
    const show = async () => {
      stop();
      const messages = await refresh(), items = messages.map((m) => make("li", {}, make("button", {
        type: "button", part: "button", lang: m.locale, class: m.shown_at ? "" : "new", on: () => message(m.campaign_id)}, m.subject)));
      list.replaceChildren(items.length ? make("ul", {class: "list"}, ...items) : this.say.none);
    };
    const message = async (id) => {
      const one = await this.ask("/" + id), words = this.words(one.html, one.locale);
      const seen = this.button(this.say.seen, () => this.ask(`/${id}/acknowledged`, {}).then(show));
      seen.hidden = Boolean(one.acknowledged_at);
      list.replaceChildren(make("div", {class: "row"}, this.button(this.say.back, show)), words, make("div", {class: "row"}, seen));
      words.focus();
      stop = onceSeen(words, () => this.ask(`/${id}/shown`, {}).then(refresh).catch(() => {}));
    };
    this.root.prepend(make("div", {lang: this.lang_}, open, list));
    await refresh();
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && list.hidden && refresh().catch(() => {}));
  }
}
customElements.get("policy-notices") || customElements.define("policy-notices", PolicyNotices);
})();
