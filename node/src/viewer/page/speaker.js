// The speaker's own thread: decoded sound of one broadcast waits here until it is played. Begins
// with TARGET_MS in hand, with more where that ran dry; lets go what would make it late.

const TARGET_MS = 60;
const TARGET_MAX_MS = 160;
// Ran dry: wait for this much more next time. For so long without: for less again.
const MORE_MS = 20;
const CALM_S = 20;
// What may wait at most; above, all but the target is let go.
const HELD_MAX_MS = 240;
// Over so many seconds there was always more than this in hand: so much is let go.
const LOOK_S = 2;
const SPARE_MS = 45;
// Every so many quanta of 128 samples the worker hears how it stands: 16 ms.
const REPORT_EVERY = 6;
const FADE = 128;

class Speaker extends AudioWorkletProcessor {
  constructor() {
    super();
    this.queue = [];
    this.at = 0; // In samples of the first block.
    this.heldMs = 0;
    this.targetMs = TARGET_MS;
    this.playing = false;
    this.played = 0;
    this.underruns = 0;
    this.skipped = 0;
    this.quanta = 0;
    this.fade = 0;
    this.lowestMs = Infinity;
    this.lookedAt = 0;
    this.dryAt = 0;
    this.port.onmessage = ({ data }) => {
      if (data === 'close') this.closed = true;
      else {
        this.worker = data;
        this.worker.onmessage = ({ data: block }) => this.take(block);
      }
    };
  }

  take(block) {
    block.ms = block.channels[0].length / block.rate * 1000;
    this.queue.push(block);
    this.heldMs += block.ms;
    if (this.heldMs > HELD_MAX_MS) this.trim();
  }

  trim() {
    while (this.heldMs - this.queue[0].ms >= this.targetMs) this.letGo();
  }

  letGo() {
    this.heldMs -= this.queue.shift().ms;
    this.at = 0;
    this.skipped += 1;
    this.fade = 0;
  }

  inHandMs() {
    return this.queue.length === 0 ? 0 : this.heldMs - this.at / this.queue[0].rate * 1000;
  }

  process(_, [output]) {
    if (this.closed) return false;
    if (!this.playing && this.inHandMs() >= this.targetMs) {
      this.trim();
      this.playing = true;
      this.fade = 0;
      this.lowestMs = Infinity;
      this.lookedAt = currentTime;
    }
    const ptsUs = this.playing ? this.nowUs() : null;
    if (this.playing) this.fill(output);
    this.adapt();
    this.quanta += 1;
    if (this.quanta % REPORT_EVERY === 0) this.report(ptsUs);
    return true;
  }

  nowUs() {
    const [block] = this.queue;
    return block ? block.ptsUs + this.at / block.rate * 1e6 : null;
  }

  fill(output) {
    const [left, right] = output;
    for (let sample = 0; sample < left.length; sample += 1) {
      let block = this.queue[0];
      while (block && this.at >= block.channels[0].length) {
        this.at -= block.channels[0].length;
        this.heldMs -= block.ms;
        this.queue.shift();
        this.played += 1;
        block = this.queue[0];
      }
      if (!block) {
        this.ranDry();
        return;
      }
      const gain = this.fade < FADE ? (this.fade += 1) / FADE : 1;
      const [first, second = first] = block.channels;
      left[sample] = gain * between(first, this.at, this.queue[1]?.channels[0]);
      if (right) right[sample] = gain * between(second, this.at, this.queue[1]?.channels.at(-1));
      this.at += block.rate / sampleRate;
    }
  }

  ranDry() {
    this.playing = false;
    this.at = 0;
    this.heldMs = 0;
    this.underruns += 1;
    this.dryAt = currentTime;
    this.targetMs = Math.min(this.targetMs + MORE_MS, TARGET_MAX_MS);
  }

  adapt() {
    if (!this.playing) return;
    this.lowestMs = Math.min(this.lowestMs, this.inHandMs());
    if (currentTime - this.lookedAt < LOOK_S) return;
    const spare = this.lowestMs - (this.targetMs - TARGET_MS);
    for (let left = spare; left > SPARE_MS && this.queue.length > 2;) {
      left -= this.queue[0].ms;
      this.letGo();
    }
    this.lowestMs = Infinity;
    this.lookedAt = currentTime;
    if (currentTime - this.dryAt > CALM_S && this.targetMs > TARGET_MS) {
      this.targetMs -= MORE_MS / 2;
      this.dryAt = currentTime;
    }
  }

  report(ptsUs) {
    const { played, underruns, skipped, targetMs } = this;
    const timeMs = currentTime * 1000;
    this.worker?.postMessage({ ptsUs, timeMs, played, underruns, skipped, targetMs, bufferedMs: this.inHandMs() });
  }
}

// The sample at a place between two, `next` being the block behind.
function between(samples, at, next) {
  const whole = Math.floor(at);
  const part = at - whole;
  if (part === 0) return samples[whole];
  const following = whole + 1 < samples.length ? samples[whole + 1] : next?.[0] ?? samples[whole];
  return samples[whole] * (1 - part) + following * part;
}

registerProcessor('speaker', Speaker);
