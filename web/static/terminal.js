// The terminal. What comes from the device is hostile: no titles, no clipboard, no links, no answers but those of a plain screen.
const light = { background: "#ffffff", foreground: "#14181f", cursor: "#0f5fd6", cursorAccent: "#ffffff", selectionBackground: "#0f5fd640", black: "#14181f", red: "#b4232c", green: "#0b7a43", yellow: "#8f5200", blue: "#0f5fd6", magenta: "#8a2fa8", cyan: "#0b6f7d", white: "#525c69", brightBlack: "#5d6875", brightRed: "#b4232c", brightGreen: "#0b7a43", brightYellow: "#8f5200", brightBlue: "#0f5fd6", brightMagenta: "#8a2fa8", brightCyan: "#0b6f7d", brightWhite: "#14181f" };
const dark = { background: "#0d1014", foreground: "#e7ebf0", cursor: "#6aa5ff", cursorAccent: "#0d1014", selectionBackground: "#6aa5ff50", black: "#272e38", red: "#ff7b7f", green: "#3fce86", yellow: "#f0b04a", blue: "#6aa5ff", magenta: "#d58cf0", cyan: "#4ec9d8", white: "#e7ebf0", brightBlack: "#8a96a5", brightRed: "#ff9da0", brightGreen: "#6fe0a6", brightYellow: "#f7c87a", brightBlue: "#93bdff", brightMagenta: "#e3b0f5", brightCyan: "#84dce7", brightWhite: "#ffffff" };
const HOSTILE_OSC = [0, 1, 2, 4, 7, 8, 9, 10, 11, 12, 50, 52, 104, 110, 111, 112, 133, 633, 777, 1337];

// xterm.js colours cells by style attributes, which our content policy forbids; the same words through the object model are allowed.
const { setAttribute } = Element.prototype;
HTMLSpanElement.prototype.setAttribute = function (name, value) {
  if (name === "style") this.style.cssText = value;
  else setAttribute.call(this, name, value);
};

export function makeTerminal(place, { type, resized }) {
  const isDark = () => document.documentElement.dataset.theme === "dark" || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  const term = new Terminal({
    allowProposedApi: false, allowTransparency: false, convertEol: false, cursorBlink: false, disableStdin: true,
    fontFamily: 'ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", monospace', fontSize: 13, lineHeight: 1.2, scrollback: 10000,
    screenReaderMode: false, windowOptions: {}, linkHandler: { activate() {} }, theme: isDark() ? dark : light, minimumContrastRatio: 4.5,
  });
  for (const code of HOSTILE_OSC) term.parser.registerOscHandler(code, () => true);
  term.parser.registerDcsHandler({ intermediates: "$", final: "q" }, () => true);
  const fit = new FitAddon.FitAddon();
  term.loadAddon(fit);
  term.open(place);
  term.textarea.setAttribute("aria-label", "Terminal on the device");
  term.attachCustomKeyEventHandler((event) => !(event.ctrlKey && (event.key === "`" || (event.key.toLowerCase() === "k" && event.shiftKey))));
  let live = false;
  term.onData((data) => live && type(data));
  term.onResize(({ cols, rows }) => live && resized(cols, rows));
  new ResizeObserver(() => place.offsetParent && fit.fit()).observe(place);
  new MutationObserver(() => { term.options.theme = isDark() ? dark : light; }).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  fit.fit();
  return {
    focus: () => term.focus(),
    clear: () => term.reset(),
    write: (bytes) => term.write(bytes),
    // A boxed command's output has plain line ends: a screen needs the carriage return as well.
    writeOutput: (bytes) => term.write(new TextDecoder().decode(bytes).replace(/\r?\n/g, "\r\n")),
    say: (line) => term.write(`\r\n\x1b[1m❯ ${line.replace(/[\x00-\x1f\x7f-\x9f]/g, " ")}\x1b[0m\r\n`),
    setLive(on) {
      if (on && !live) resized(term.cols, term.rows); // this opens the terminal on the device
      live = on;
      term.options.disableStdin = !on;
      term.options.cursorBlink = on;
    },
  };
}
