// The WebSocket to our own node: opens it, comes back when it is lost, keeps the node's clock.
// Lives in the worker; decides nothing about what is shown.

const HEADER = 48;
const PINGS = 8;

export class Link {
  // `on`: { state(object), picture(unit), sound(packet), change() }.
  constructor(on) {
    this.on = on;
    this.up = false;
    // null while trying; else why trying is no use: 'key'.
    this.refused = null;
    this.lostAt = performance.now();
    this.samples = [];
    this.tries = 0;
  }

  // The launch token is exchanged for a cookie, once.
  async start(token) {
    await this.connect(token);
  }

  async connect(token) {
    try {
      const answer = await fetch('/session', { method: 'POST', body: token || '' });
      if (answer.status === 403) {
        this.refused = 'key';
        this.on.change();
        return;
      }
      if (!answer.ok) throw new Error(answer.statusText);
      this.open();
    } catch {
      this.again(token);
    }
  }

  open() {
    const socket = new WebSocket(`ws://${location.host}/live`);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      this.up = true;
      this.tries = 0;
      this.samples = [];
      this.socket = socket;
      this.ping(5);
      this.timer = setInterval(() => this.ping(0), 1000);
      this.on.change();
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === 'string') this.text(JSON.parse(data));
      else this.unit(data);
    };
    socket.onclose = () => {
      clearInterval(this.timer);
      if (this.up) this.lostAt = performance.now();
      this.up = false;
      this.socket = null;
      this.on.change();
      this.again('');
    };
  }

  again(token) {
    this.tries += 1;
    this.on.change();
    setTimeout(() => this.connect(token), Math.min(250 * 2 ** Math.min(this.tries, 4), 3000));
  }

  send(object) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(object));
  }

  // A few in a row at first, so that the first picture's latency is right already.
  ping(more) {
    this.send({ ping: performance.now() });
    if (more > 0) setTimeout(() => this.ping(more - 1), 60);
  }

  text(message) {
    if (message.type === 'state') this.on.state(message);
    if (message.type === 'pong') {
      const now = performance.now();
      const trip = now - message.ping;
      this.samples.push({ trip, offset: message.node_us / 1000 - (message.ping + now) / 2 });
      if (this.samples.length > PINGS) this.samples.shift();
    }
  }

  // The node's steady clock in milliseconds, by the ping with the shortest way; null before one.
  nodeMs(at = performance.now()) {
    if (this.samples.length === 0) return null;
    return at + this.samples.reduce((a, b) => (b.trip < a.trip ? b : a)).offset;
  }

  unit(buffer) {
    const view = new DataView(buffer);
    if (buffer.byteLength < HEADER) return;
    const take = { 1: this.on.picture, 2: this.on.sound }[view.getUint8(0)];
    const big = (at) => Number(view.getBigInt64(at));
    take?.({
      keyframe: (view.getUint8(1) & 1) === 1,
      broadcast: view.getUint32(4),
      seq: big(8),
      ptsUs: big(16),
      capturedUs: big(24),
      readyUs: big(32),
      nodeUs: big(40),
      data: new Uint8Array(buffer, view.getUint16(2)),
    });
  }
}
