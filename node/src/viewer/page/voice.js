// One broadcast's sound in the worker: packets in, decoded samples to the speaker's own thread
// (`speaker.js`), and what is being heard at a moment, by which the pictures go. Sound that is late
// is skipped before it is decoded; nothing is queued here.

// A packet that is older than this since it was complete at the node is of no use.
const LATE_MS = 300;
// Packets in the decoder: 300 ms of them.
const BUSY = 15;
// Without news from the speaker for so long, nothing is heard.
const SILENT_MS = 400;
// Reports by which the speaker's clock is known: it is the one that came fastest.
const REPORTS = 40;

export class Voice {
  constructor(link) {
    this.link = link;
    this.key = 'null';
    this.codec = null;
    this.supported = null;
    this.decoder = null;
    this.port = null;
    // Told by the page: whether the device runs, whether a person can hear it, how late it is.
    this.running = false;
    this.audible = false;
    this.outputMs = 0;
    this.packets = 0;
    this.late = 0;
    this.errors = 0;
    this.heard = null;
    this.reports = [];
  }

  async announce(sound) {
    const key = JSON.stringify(sound);
    if (key === this.key) return;
    this.key = key;
    this.stop();
    this.codec = sound?.codec ?? null;
    this.supported = null;
    if (sound === null) return;
    const { codec, sample_rate: sampleRate, channels: numberOfChannels } = sound;
    const config = { codec, sampleRate, numberOfChannels };
    if (sound.description) config.description = Uint8Array.from(atob(sound.description), (c) => c.charCodeAt(0));
    const can = 'AudioDecoder' in globalThis
      ? await AudioDecoder.isConfigSupported(config).catch(() => ({ supported: false }))
      : { supported: false };
    if (key !== this.key) return;
    this.supported = can.supported === true;
    this.config = config;
    this.start();
  }

  start() {
    this.stop();
    if (!this.supported || this.closed) return;
    this.decoder = new AudioDecoder({
      output: (data) => this.samples(data),
      error: () => {
        this.errors += 1;
        this.decoder = null;
        setTimeout(() => this.start(), 300);
      },
    });
    this.decoder.configure(this.config);
  }

  stop() {
    if (this.decoder && this.decoder.state !== 'closed') this.decoder.close();
    this.decoder = null;
  }

  playThrough(port) {
    this.port = port;
    port.onmessage = ({ data }) => this.report(data);
  }

  packet(packet) {
    this.packets += 1;
    if (this.decoder?.state !== 'configured' || this.port === null || !this.running) return;
    const node = this.link.nodeMs();
    const age = node === null ? 0 : node - packet.nodeUs / 1000;
    if (age > LATE_MS || this.decoder.decodeQueueSize > BUSY) {
      this.late += 1;
      return;
    }
    this.decoder.decode(new EncodedAudioChunk({ type: 'key', timestamp: packet.ptsUs, data: packet.data }));
  }

  samples(data) {
    const channels = [];
    for (let plane = 0; plane < Math.min(data.numberOfChannels, 2); plane += 1) {
      const samples = new Float32Array(data.numberOfFrames);
      data.copyTo(samples, { planeIndex: plane, format: 'f32-planar' });
      channels.push(samples);
    }
    const block = { ptsUs: data.timestamp, rate: data.sampleRate, channels };
    data.close();
    this.port?.postMessage(block, channels.map((samples) => samples.buffer));
  }

  // What the speaker says: at `timeMs` of its clock it plays `ptsUs`, or nothing.
  report(report) {
    const now = performance.now();
    if (this.heard && now - this.heard.at > SILENT_MS) this.reports.length = 0;
    this.reports.push(now - report.timeMs);
    if (this.reports.length > REPORTS) this.reports.shift();
    this.heard = { ...report, at: now };
  }

  // The time in the broadcast of what leaves the loudspeaker at `now`; null where nobody hears it.
  heardUs(now) {
    const { heard } = this;
    if (!this.audible || heard === null || heard.ptsUs === null || now - heard.at > SILENT_MS) return null;
    const speakerMs = now - Math.min(...this.reports);
    return heard.ptsUs + (speakerMs - heard.timeMs - this.outputMs) * 1000;
  }

  figures(now) {
    if (this.codec === null) return null;
    const { heard, packets, late, errors, supported, codec, audible } = this;
    return {
      codec,
      supported,
      packets,
      errors,
      audible,
      played: heard?.played ?? 0,
      underruns: heard?.underruns ?? 0,
      skipped: late + (heard?.skipped ?? 0),
      bufferedMs: heard?.bufferedMs ?? 0,
      targetMs: heard?.targetMs ?? null,
      playing: this.heardUs(now) !== null,
    };
  }

  close() {
    this.closed = true;
    this.stop();
    this.port?.close();
    this.port = null;
  }
}
