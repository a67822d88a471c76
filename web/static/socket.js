// The session's socket: reconnects with jitter and asks for what it lacks; nothing is typed into a dead one.
const OUTPUT_HEAD = 21; // position (4), flag (1), command (16)

const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");

export function connect(path, { message, output, lost, back, refused }) {
  let socket = null;
  let position = -1;
  let tries = 0;
  let lostAt = 0;
  let ended = false;

  function open() {
    const address = new URL(path, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    if (position >= 0) address.searchParams.set("after", String(position));
    socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => (typeof data === "string" ? text(JSON.parse(data)) : bytes(new Uint8Array(data)));
    socket.onclose = closed;
  }

  function text(json) {
    if (json.type === "hello") {
      position = Math.max(position, json.position);
      tries = 0;
      if (lostAt) back();
      lostAt = 0;
    }
    if (json.type === "resync") return location.reload();
    message(json);
  }

  function bytes(data) {
    const view = new DataView(data.buffer);
    position = Math.max(position, view.getUint32(0));
    output(data[4] === 1 ? hex(data.subarray(5, OUTPUT_HEAD)) : null, data.subarray(OUTPUT_HEAD));
  }

  function closed({ code, reason }) {
    if (ended) return;
    if (code === 4404 || code === 4400) return refused(reason);
    if (code === 4410) return location.reload();
    lostAt ||= Date.now();
    lost(lostAt);
    const wait = Math.min(5000, 300 * 2 ** tries++);
    setTimeout(open, wait * (0.7 + 0.6 * Math.random()));
  }

  addEventListener("pagehide", () => { ended = true; socket.close(); });
  open();
  return { send: (json) => socket.readyState === WebSocket.OPEN && (socket.send(JSON.stringify(json)), true) };
}
