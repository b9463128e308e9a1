// One broadcast: access units in, the newest picture on a canvas, its latency measured as it is
// drawn. Skips to the next keyframe rather than show pictures late; never holds more than one
// picture for the screen.

import { readStamp } from './stamp.js';

// Access units in the decoder that mean it does not keep up, if they stay.
const BUSY = 8;
const BUSY_MS = 700;
// Rather more patience while old pictures are decoded only to get to the live one.
const CATCHING_UP_MS = 4000;
// What counts as old there, by age when it came in.
const OLD_MS = 500;
const LATENCIES = 120;

export class Player {
  constructor(link, canvas) {
    this.link = link;
    this.canvas = canvas;
    this.context = canvas.getContext('2d', { alpha: false });
    this.codec = null;
    this.supported = null;
    this.decoder = null;
    this.meta = new Map();
    this.latencies = [];
    this.drawn = 0;
    this.skipped = 0;
    this.errors = 0;
    this.lastDrawnAt = null;
    this.reset();
  }

  reset() {
    this.needKey = true;
    this.lastSeq = null;
    this.busySince = null;
    this.askedAt = 0;
  }

  // From the broadcast's own words; a change of codec starts anew.
  async announce(codec) {
    if (codec === this.codec) return;
    this.codec = codec;
    this.supported = null;
    if (!('VideoDecoder' in globalThis)) return;
    const config = { codec, optimizeForLatency: true };
    const answer = await VideoDecoder.isConfigSupported(config).catch(() => ({ supported: false }));
    if (codec !== this.codec) return;
    this.supported = answer.supported === true;
    this.config = config;
    this.start();
  }

  start() {
    if (this.decoder && this.decoder.state !== 'closed') this.decoder.close();
    this.decoder = null;
    this.reset();
    if (!this.supported) return;
    this.decoder = new VideoDecoder({
      output: (frame) => this.picture(frame),
      error: () => {
        this.errors += 1;
        this.decoder = null;
        // A broken stream may break again at once: not more than a few tries a second.
        setTimeout(() => this.start(), 300);
      },
    });
    this.decoder.configure(this.config);
    for (const unit of this.early?.splice(0) ?? []) this.unit(unit);
  }

  unit(unit) {
    if (this.decoder?.state !== 'configured') {
      // The browser is still being asked whether it can: keep what begins at the last keyframe.
      if (this.codec && this.supported === null) this.keepEarly(unit);
      return;
    }
    const now = performance.now();
    const gap = this.lastSeq !== null && unit.seq !== this.lastSeq + 1;
    this.lastSeq = unit.seq;
    if (gap && !unit.keyframe) this.needKey = true;
    this.watchQueue(now, this.age(unit.nodeUs, now) > OLD_MS);
    if (this.needKey && !unit.keyframe) {
      this.skipped += 1;
      this.askKeyframe(unit.broadcast, now);
      return;
    }
    this.needKey = false;
    this.meta.set(unit.ptsUs, unit);
    if (this.meta.size > 600) this.meta.delete(this.meta.keys().next().value);
    this.decoder.decode(new EncodedVideoChunk({
      type: unit.keyframe ? 'key' : 'delta',
      timestamp: unit.ptsUs,
      data: unit.data,
    }));
  }

  keepEarly(unit) {
    this.early ??= [];
    if (unit.keyframe) this.early.length = 0;
    if (unit.keyframe || this.early.length > 0) this.early.push(unit);
  }

  watchQueue(now, catchingUp) {
    if (this.decoder.decodeQueueSize <= BUSY) {
      this.busySince = null;
      return;
    }
    this.busySince ??= now;
    if (now - this.busySince > (catchingUp ? CATCHING_UP_MS : BUSY_MS)) this.needKey = true;
  }

  // The node merges what all pages ask, and the publisher limits it; we wait a second ourselves.
  askKeyframe(broadcast, now) {
    if (now - this.askedAt < 1000) return;
    this.askedAt = now;
    this.link.send({ keyframe: broadcast });
  }

  picture(frame) {
    const unit = this.meta.get(frame.timestamp);
    this.meta.delete(frame.timestamp);
    const rush = this.decoder?.decodeQueueSize > 3 && this.drawn > 0;
    if (rush && unit && this.age(unit.nodeUs, performance.now()) > OLD_MS) {
      frame.close();
      return;
    }
    this.pending?.frame.close();
    this.pending = { frame, unit };
  }

  age(nodeUs, now) {
    const node = this.link.nodeMs(now);
    return node === null ? 0 : node - nodeUs / 1000;
  }

  // Once a refresh of the screen. True if there was something new to draw.
  draw() {
    if (!this.pending) return false;
    const { frame, unit } = this.pending;
    this.pending = null;
    const [width, height] = [frame.displayWidth, frame.displayHeight];
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.context.drawImage(frame, 0, 0, width, height);
    frame.close();
    const now = performance.now();
    this.drawn += 1;
    this.lastDrawnAt = now;
    this.last = unit;
    if (unit && this.link.nodeMs(now) !== null) {
      const there = (unit.readyUs - unit.capturedUs) / 1000;
      this.latencies.push(there + this.age(unit.nodeUs, now));
      if (this.latencies.length > LATENCIES) this.latencies.shift();
    }
    return true;
  }

  // Capture to canvas in milliseconds, the last few seconds: { p50, p99, last }, or null.
  latency() {
    if (this.latencies.length === 0) return null;
    const sorted = [...this.latencies].sort((a, b) => a - b);
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
    return { p50: at(0.5), p99: at(0.99), last: this.latencies.at(-1) };
  }

  stamp() {
    return this.drawn > 0 ? readStamp(this.canvas) : null;
  }

  close() {
    this.pending?.frame.close();
    this.pending = null;
    if (this.decoder && this.decoder.state !== 'closed') this.decoder.close();
    this.decoder = null;
  }
}
