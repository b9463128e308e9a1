// One broadcast on the page: its canvas, its words, its sound's controls.

import { SlowPlayer } from './mse.js';
import { nameOf } from './people.js';
import { detailRows, soundWords, tileSentence } from './words.js';

export class Tile {
  constructor(broadcast, template, tiles, { post, mixer, arrangement }) {
    Object.assign(this, { broadcast, mixer, arrangement });
    this.index = broadcast.index;
    this.figures = { drawn: 0, skipped: 0, errors: 0, seq: null, latencyMs: null, sound: null, supported: null };
    this.takenAt = performance.now();
    this.root = template.content.firstElementChild.cloneNode(true);
    const find = (selector) => this.root.querySelector(selector);
    this.canvas = find('canvas');
    this.veil = find('.veil');
    this.who = find('.who');
    this.latency = find('.latency b');
    this.error = find('.latency small');
    this.details = find('.details');
    this.soundWords = find('.sound-words');
    this.mute = find('.mute');
    this.volume = find('.volume');
    this.large = find('.large');
    this.full = find('.full');
    this.listen();
    tiles.append(this.root);
    this.giveCanvas(post);
  }

  listen() {
    const { index, arrangement } = this;
    this.mute.onclick = () => this.toggleMute();
    this.volume.oninput = () => this.mixer.set(index, { volume: this.volume.value / 100, muted: false });
    this.large.onclick = () => arrangement.toggle(index);
    this.full.onclick = () => arrangement.full(this.root);
    this.canvas.ondblclick = () => arrangement.toggle(index);
  }

  // To the worker where that can be, else the worker sends its pictures here.
  giveCanvas(post) {
    if ('transferControlToOffscreen' in this.canvas) {
      const canvas = this.canvas.transferControlToOffscreen();
      post({ type: 'canvas', index: this.index, canvas }, [canvas]);
      return;
    }
    this.context = this.canvas.getContext('2d', { alpha: false });
    post({ type: 'canvas', index: this.index, canvas: null });
  }

  draw(frame) {
    const { canvas } = this;
    if (canvas.width !== frame.displayWidth || canvas.height !== frame.displayHeight) {
      [canvas.width, canvas.height] = [frame.displayWidth, frame.displayHeight];
    }
    this.context.drawImage(frame, 0, 0, canvas.width, canvas.height);
  }

  take(figures) {
    // What WebCodecs cannot show, a video element may.
    if (figures.supported === false) this.slow ??= new SlowPlayer(this.canvas, this.broadcast.publisher);
    this.figures = this.slow ? { ...figures, ...this.slow.figures() } : figures;
    this.takenAt = performance.now();
  }

  toggleMute() {
    const voice = this.mixer.voices.get(this.index);
    if (voice) this.mixer.set(this.index, { muted: !voice.muted });
    if (this.mixer.blocked) this.mixer.resume();
  }

  show(state) {
    const { broadcast, figures } = this;
    const name = nameOf(broadcast);
    set(this.who, name);
    label(this.canvas, `Live picture of ${name}`);
    set(this.veil, tileSentence(figures, this.takenAt, broadcast));
    const latency = figures.latencyMs;
    set(this.latency, latency ? `${Math.round(latency.p50)} ms` : '');
    const error = broadcast.clock_error_ms;
    set(this.error, latency && error !== null ? ` ± ${Math.max(1, Math.round(error))}` : '');
    // Beside an old picture it would be a figure of another time.
    this.latency.parentElement.style.display = latency && this.veil.textContent === '' ? '' : 'none';
    set(this.soundWords, soundWords(broadcast, figures, this.mixer));
    if (document.body.classList.contains('figures')) this.showDetails(state);
    this.showSound();
  }

  showDetails(state) {
    const rows = detailRows(this.broadcast, this.figures, state);
    while (this.details.children.length > rows.length) this.details.lastChild.remove();
    rows.forEach(([what, value], at) => {
      let row = this.details.children[at];
      if (!row) {
        row = document.createElement('div');
        row.append(document.createElement('dt'), document.createElement('dd'));
        this.details.append(row);
      }
      set(row.firstChild, what);
      set(row.lastChild, value);
    });
  }

  showSound() {
    const name = nameOf(this.broadcast);
    const voice = this.mixer.voices.get(this.index);
    const has = voice !== undefined && this.broadcast.sound !== null;
    const heard = has && this.mixer.heard(this.index) && !this.mixer.blocked;
    this.slow?.hear(heard, voice?.volume ?? 1);
    this.mute.hidden = !has;
    this.volume.hidden = !has;
    this.mute.ariaPressed = String(has && voice.muted);
    label(this.mute, `Mute ${name}`);
    label(this.volume, `Volume of ${name}`);
    this.mute.querySelector('use').setAttribute('href', `#i-${heard ? 'sound' : 'muted'}`);
    const large = this.arrangement.large === this.index;
    this.large.hidden = this.arrangement.tiles.size < 2;
    this.large.ariaPressed = String(large);
    label(this.large, `${name} large`);
    label(this.full, `${name} on the full screen`);
    this.full.hidden = !document.fullscreenEnabled;
  }

  close() {
    this.slow?.close();
    this.root.remove();
  }

  // For tests.
  hook() {
    const { figures, broadcast } = this;
    return {
      ...figures,
      index: this.index,
      publisher: broadcast.publisher,
      shownLatency: this.latency.textContent,
      veil: this.veil.textContent,
      soundWords: this.soundWords.textContent,
    };
  }
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function label(element, text) {
  if (element.ariaLabel !== text) element.ariaLabel = text;
  if (element.tagName === 'BUTTON' && element.title !== text) element.title = text;
}
