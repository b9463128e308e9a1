// Figures of one broadcast's pictures over the last few seconds. Measures; decides nothing.

const DRAWN = 120;
const OVER_MS = 2000;
const PAUSE_MS = 700;

export class Meter {
  constructor() {
    this.shown = [];
    this.came = [];
    this.decodeMs = null;
  }

  received(unit) {
    const now = performance.now();
    this.came.push({ at: now, bytes: unit.data.byteLength });
    while (now - this.came[0].at > OVER_MS) this.came.shift();
  }

  // Into the decoder to out of it, smoothed.
  decoded(ms) {
    this.decodeMs = this.decodeMs === null ? ms : this.decodeMs + (ms - this.decodeMs) / 16;
  }

  // True if none was drawn for a while.
  drawn(at, figures) {
    const first = this.shown.length === 0 || at - this.shown.at(-1).at > PAUSE_MS;
    this.shown.push({ at, ...figures });
    if (this.shown.length > DRAWN) this.shown.shift();
    return first;
  }

  figures(now) {
    const lately = this.shown.filter(({ at }) => now - at < OVER_MS);
    const bytes = this.came.filter(({ at }) => now - at < OVER_MS).reduce((sum, { bytes }) => sum + bytes, 0);
    return {
      latencyMs: spread(this.shown, 'latency'),
      behindMs: spread(this.shown, 'behind'),
      avOffsetMs: spread(lately, 'offset'),
      fps: lately.length / (OVER_MS / 1000),
      kbps: bytes * 8 / OVER_MS,
      decodeMs: this.decodeMs,
    };
  }
}

// { p50, p99, last } of what is known, or null.
function spread(list, what) {
  const known = list.map((one) => one[what]).filter((value) => value !== null);
  if (known.length === 0) return null;
  const sorted = [...known].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return { p50: at(0.5), p99: at(0.99), max: sorted.at(-1), min: sorted[0], last: known.at(-1) };
}
