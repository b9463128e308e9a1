// One broadcast's pictures: access units in, pictures on a canvas, their latency measured as they
// are drawn. While its sound is heard, a picture waits for its moment in it; else the newest is
// drawn at once. Whoever falls behind skips: never more than LATE_MS, never more than HELD pictures.

import { Meter } from './meter.js';
import { Voice } from './voice.js';

// A picture that is older than this, since it was complete at the node, is not waited with.
const LATE_MS = 250;
// Behind this nothing is shown: the rest of the group is let go, a keyframe is asked for.
const BEHIND_MS = 300;
// Access units in the decoder from which pictures that nothing depends on are left out.
const BUSY = 5;
// After a beginning, old pictures are decoded only to get to the live one. For so long.
const CATCHING_UP_MS = 4000;
// Pictures that wait for their moment.
const HELD = 12;
// A picture is drawn when its sound is heard within half a refresh.
const EARLY_US = 8_000;

export class Player {
  // `lend(index, frame)` takes a picture where no canvas was given away.
  constructor(link, index, lend) {
    Object.assign(this, { link, index, lend });
    this.voice = new Voice(link);
    this.meter = new Meter();
    this.codec = null;
    this.supported = null;
    this.decoder = null;
    this.context = null;
    this.canvas = null;
    this.held = [];
    this.meta = new Map();
    this.drawn = 0;
    this.skipped = 0;
    this.errors = 0;
    this.early = [];
    this.freshAt = null;
    this.reset();
  }

  reset() {
    this.needKey = true;
    this.lastSeq = null;
    this.askedAt = -Infinity;
    this.begunAt = performance.now();
    this.caughtUp = false;
  }

  // From the broadcast's own words; a change of codec starts anew.
  async announce({ codec, sound }) {
    this.voice.announce(sound);
    if (codec === this.codec) return;
    this.codec = codec;
    this.supported = null;
    const config = { codec, optimizeForLatency: true };
    const can = Player.usable && 'VideoDecoder' in globalThis
      ? await VideoDecoder.isConfigSupported(config).catch(() => ({ supported: false }))
      : { supported: false };
    if (codec !== this.codec) return;
    this.supported = can.supported === true;
    this.config = config;
    this.start();
  }

  start() {
    if (this.decoder && this.decoder.state !== 'closed') this.decoder.close();
    this.decoder = null;
    this.reset();
    if (!this.supported || this.closed) return;
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
    for (const unit of this.early.splice(0)) this.unit(unit);
  }

  // null: a canvas that stays with the page.
  drawOn(canvas) {
    this.canvas = canvas;
    this.context = canvas?.getContext('2d', { alpha: false }) ?? null;
    this.hasScreen = true;
  }

  unit(unit) {
    this.meter.received(unit);
    if (this.decoder?.state !== 'configured') {
      // The browser is still being asked whether it can: keep what begins at the last keyframe.
      if (this.codec && this.supported === null) this.keepEarly(unit);
      return;
    }
    if (this.lastSeq !== null && unit.seq !== this.lastSeq + 1 && !unit.keyframe) this.needKey = true;
    this.lastSeq = unit.seq;
    if (this.needKey && !unit.keyframe) {
      this.skipped += 1;
      this.askKeyframe();
      return;
    }
    this.needKey = false;
    if (this.decoder.decodeQueueSize > BUSY && this.caughtUp && isSpare(unit.data)) {
      this.skipped += 1;
      return;
    }
    unit.cameAt = performance.now();
    this.meta.set(unit.ptsUs, unit);
    if (this.meta.size > 600) this.meta.delete(this.meta.keys().next().value);
    this.decoder.decode(new EncodedVideoChunk({
      type: unit.keyframe ? 'key' : 'delta',
      timestamp: unit.ptsUs,
      data: unit.data,
    }));
  }

  keepEarly(unit) {
    if (unit.keyframe) this.early.length = 0;
    if (unit.keyframe || this.early.length > 0) this.early.push(unit);
  }

  // The node merges what all pages ask, and the publisher limits it; we wait a second ourselves.
  askKeyframe() {
    const now = performance.now();
    if (now - this.askedAt < 1000) return;
    this.askedAt = now;
    this.link.send({ keyframe: this.index });
  }

  picture(frame) {
    const now = performance.now();
    const unit = this.meta.get(frame.timestamp);
    this.meta.delete(frame.timestamp);
    const age = unit ? this.age(unit, now) : 0;
    if (unit) this.meter.decoded(now - unit.cameAt);
    if (age > BEHIND_MS) {
      if (this.caughtUp || now - this.begunAt > CATCHING_UP_MS) this.letGo();
      // The very first one is better than none.
      if (this.drawn > 0 || this.held.length > 0) {
        this.skipped += 1;
        frame.close();
        return;
      }
    } else {
      this.caughtUp = true;
    }
    this.freshAt = now;
    this.held.push({ frame, unit, late: now + LATE_MS - age });
    if (this.held.length > HELD) this.skip();
  }

  // What waits in the decoder would all be late: it is let go, for the next keyframe.
  letGo() {
    this.skipped += this.decoder.decodeQueueSize;
    this.decoder.reset();
    this.decoder.configure(this.config);
    this.meta.clear();
    const { lastSeq } = this;
    this.reset();
    this.lastSeq = lastSeq;
    this.askKeyframe();
  }

  // Since the access unit was complete at the node, in milliseconds.
  age(unit, now) {
    const node = this.link.nodeMs(now);
    return node === null ? 0 : node - unit.nodeUs / 1000;
  }

  // Drops the oldest picture that waits.
  skip() {
    this.held.shift().frame.close();
    this.skipped += 1;
  }

  // Once a refresh of the screen. True if it was the first picture for a while.
  draw(hidden) {
    if (hidden) {
      while (this.held.length > 1) this.held.shift().frame.close();
      return false;
    }
    if (!this.hasScreen || this.held.length === 0) return false;
    const now = performance.now();
    const heardUs = this.voice.heardUs(now);
    const due = ({ frame, late }) => heardUs === null || frame.timestamp <= heardUs + EARLY_US || now >= late;
    const count = this.held.findLastIndex(due) + 1;
    if (count === 0) return false;
    for (let skip = 1; skip < count; skip += 1) this.skip();
    const { frame, unit } = this.held.shift();
    // Held up on its way to the screen: a newer one is coming.
    if (this.drawn > 0 && this.caughtUp && unit && this.age(unit, now) > BEHIND_MS) {
      this.skipped += 1;
      frame.close();
      return false;
    }
    const offset = heardUs === null ? null : (frame.timestamp - heardUs) / 1000;
    this.show(frame);
    const known = unit && this.link.nodeMs(now) !== null;
    const latency = known ? (unit.readyUs - unit.capturedUs) / 1000 + this.age(unit, now) : null;
    // The first one is shown whatever its age, and is no figure of keeping up.
    const behind = known && this.caughtUp && this.drawn > 0 ? this.age(unit, now) : null;
    const first = this.meter.drawn(now, { latency, behind, offset });
    this.drawn += 1;
    this.last = unit;
    return first;
  }

  show(frame) {
    const [width, height] = [frame.displayWidth, frame.displayHeight];
    this.size = [width, height];
    if (this.context === null) {
      this.lend(this.index, frame);
      return;
    }
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.context.drawImage(frame, 0, 0, width, height);
    frame.close();
  }

  figures() {
    const now = performance.now();
    return {
      supported: this.supported,
      drawn: this.drawn,
      skipped: this.skipped,
      errors: this.errors,
      seq: this.last?.seq ?? null,
      size: this.size ?? null,
      freshForMs: this.freshAt === null ? null : now - this.freshAt,
      ...this.meter.figures(now),
      sound: this.voice.figures(now),
    };
  }

  close() {
    this.closed = true;
    for (const { frame } of this.held.splice(0)) frame.close();
    if (this.decoder && this.decoder.state !== 'closed') this.decoder.close();
    this.decoder = null;
    this.voice.close();
  }
}

// Whether no other picture depends on this one: nal_ref_idc 0 in its first slice.
function isSpare(data) {
  for (let at = 0; at + 3 < data.length; at += 1) {
    if (data[at] !== 0 || data[at + 1] !== 0 || data[at + 2] !== 1) continue;
    const kind = data[at + 3] & 0x1f;
    if (kind >= 1 && kind <= 5) return (data[at + 3] & 0x60) === 0;
  }
  return false;
}
