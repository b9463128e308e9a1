// The slower way, where the browser has no WebCodecs for H.264 or withholds them on plain HTTP: the
// broadcast as a live MP4 in a video element, kept near its end. Begins again when it is lost.

// Behind the end of what has come: aimed at, and given up for a jump.
const AIM_S = 0.08;
const JUMP_S = 0.35;
// What has been played is kept for so long; a browser's room for it is small.
const KEPT_S = 4;
const AGAIN_MS = 1000;

const Source = globalThis.ManagedMediaSource ?? globalThis.MediaSource;

export class SlowPlayer {
  // Puts its video in place of a canvas.
  constructor(canvas, publisher) {
    this.publisher = publisher;
    this.supported = Source === undefined ? false : null;
    this.video = document.createElement('video');
    Object.assign(this.video, { muted: true, playsInline: true, disableRemotePlayback: true });
    canvas.hidden = true;
    canvas.after(this.video);
    this.drawn = 0;
    this.freshAt = null;
    this.stop = new AbortController();
    if (Source) this.run();
  }

  async run() {
    while (!this.stop.signal.aborted && this.supported !== false) {
      await this.play().catch(() => {});
      await new Promise((then) => { setTimeout(then, AGAIN_MS); });
    }
  }

  // Until the stream ends.
  async play() {
    const { signal } = this.stop;
    const answer = await fetch(`/stream/${this.publisher}.mp4`, { signal });
    if (!answer.ok) return;
    const kind = answer.headers.get('content-type');
    this.supported = Source.isTypeSupported(kind);
    if (!this.supported) return;
    const source = new Source();
    const opened = new Promise((then) => { source.onsourceopen = then; });
    const url = URL.createObjectURL(source);
    this.video.src = url;
    await opened;
    URL.revokeObjectURL(url);
    const buffer = source.addSourceBuffer(kind);
    const reader = answer.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      await change(buffer, () => buffer.appendBuffer(value));
      await this.follow(buffer);
    }
  }

  // Keeps to the end: a little faster or slower, or by a jump.
  async follow(buffer) {
    const { video } = this;
    const { buffered } = buffer;
    if (buffered.length === 0) return;
    const end = buffered.end(buffered.length - 1);
    const behind = end - video.currentTime;
    if (behind > JUMP_S || behind < 0) video.currentTime = Math.max(end - AIM_S, buffered.start(buffered.length - 1));
    video.playbackRate = Math.min(1.15, Math.max(0.97, 1 + (behind - AIM_S) * 0.6));
    this.behindMs = (end - video.currentTime) * 1000;
    if (video.paused) video.play().catch(() => { video.muted = true; });
    const old = video.currentTime - KEPT_S;
    if (buffered.start(0) < old - KEPT_S) await change(buffer, () => buffer.remove(0, old));
  }

  hear(audible, volume) {
    this.video.muted = !audible;
    this.video.volume = volume;
  }

  figures() {
    const drawn = this.video.getVideoPlaybackQuality?.().totalVideoFrames ?? 0;
    if (drawn !== this.drawn) this.freshAt = performance.now();
    this.drawn = drawn;
    const { videoWidth, videoHeight } = this.video;
    return {
      slow: true,
      supported: this.supported,
      drawn,
      size: videoWidth > 0 ? [videoWidth, videoHeight] : null,
      behindMs: this.behindMs === undefined ? null : { p50: this.behindMs },
      freshForMs: this.freshAt === null ? null : performance.now() - this.freshAt,
    };
  }

  close() {
    this.stop.abort();
    this.video.removeAttribute('src');
    this.video.load();
  }
}

// One change of a buffer, to its end.
function change(buffer, what) {
  return new Promise((then, fail) => {
    buffer.onupdateend = then;
    buffer.onerror = fail;
    what();
  });
}
