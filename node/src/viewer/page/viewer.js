// The page: puts link, players, people and words together. Nothing from outside this origin is
// loaded, and nothing that a stranger wrote is ever taken for markup.

import { Link } from './link.js';
import { nameOf, showPeople } from './people.js';
import { Player } from './player.js';
import { endsWords, facts, stageSentence, tileSentence } from './words.js';

const $ = (id) => document.getElementById(id);
const tiles = new Map();
let state = null;

const link = new Link({
  state(news) {
    state = news;
    arrange();
    show();
  },
  unit(unit) {
    tiles.get(unit.broadcast)?.player.unit(unit);
  },
  change() {
    // A new connection begins with a keyframe and with numbers of its own.
    for (const { player } of tiles.values()) player.reset();
    show();
  },
});

// One tile a broadcast, in the order of their numbers.
function arrange() {
  const there = new Set(state.broadcasts.map((broadcast) => broadcast.index));
  for (const [index, tile] of tiles) {
    if (!there.has(index)) {
      tile.player.close();
      tile.root.remove();
      tiles.delete(index);
    }
  }
  for (const broadcast of state.broadcasts) {
    if (!tiles.has(broadcast.index)) tiles.set(broadcast.index, makeTile());
    const tile = tiles.get(broadcast.index);
    tile.broadcast = broadcast;
    tile.player.announce(broadcast.codec);
  }
  $('tiles').dataset.many = tiles.size < 2 ? '1' : tiles.size < 5 ? '2' : '3';
}

function makeTile() {
  const root = $('tile').content.firstElementChild.cloneNode(true);
  $('tiles').append(root);
  const find = (selector) => root.querySelector(selector);
  return {
    root,
    veil: find('.veil'),
    who: find('.who'),
    latency: find('.latency b'),
    error: find('.latency small'),
    facts: find('.facts'),
    player: new Player(link, find('canvas')),
  };
}

// Text is only set where it changes: a screen reader hears news once.
function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function show() {
  const sentence = stageSentence(link, state);
  set($('sentence'), sentence);
  $('tiles').hidden = sentence !== '';
  $('tiles').style.visibility = sentence === '' ? 'visible' : 'hidden';
  const status = link.up ? 'connected to the node' : link.refused ? 'no key' : 'no answer';
  set($('link'), status);
  $('link').className = link.up ? 'up' : 'down';
  if (state === null) return;
  const title = state.room?.title || 'Roommate';
  set($('title'), title);
  set($('room'), state.room ? `room ${state.room.short}` : '');
  document.title = title === 'Roommate' ? title : `${title} · Roommate`;
  showPeople(state, $('people'), $('count'));
  const notice = state.notice === sentence ? '' : state.notice ?? '';
  set($('notice'), [notice, endsWords(state.room)].filter((word) => word !== '').join(' '));
  showTiles();
}

function showTiles() {
  for (const tile of tiles.values()) {
    const { player, broadcast } = tile;
    set(tile.who, nameOf(broadcast));
    set(tile.veil, tileSentence(player, broadcast));
    set(tile.facts, facts(broadcast, state.members));
    const latency = player.latency();
    set(tile.latency, latency ? `${Math.round(latency.p50)} ms` : '');
    const error = broadcast.clock_error_ms;
    const bound = error === null ? '' : ` ± ${Math.max(1, Math.round(error))}`;
    set(tile.error, latency ? `${bound} behind the camera` : '');
    // Beside an old picture it would be a figure of another time.
    const tells = latency && tile.veil.textContent === '';
    tile.latency.parentElement.style.display = tells ? '' : 'none';
  }
}

// Words that a picture makes untrue go with it.
function paint() {
  for (const { player, veil } of tiles.values()) {
    if (player.draw() && veil.textContent !== '') showTiles();
  }
  requestAnimationFrame(paint);
}

// Twice a second is as often as a person can read.
setInterval(() => {
  set($('sentence'), stageSentence(link, state));
  if (state !== null) showTiles();
}, 500);

// For tests: what this page shows, as it shows it.
window.__roommate = {
  get connected() { return link.up; },
  get state() { return state; },
  get members() { return [...$('people').children].map((item) => ({ peer: item.dataset.peer, name: item.querySelector('.name').textContent })); },
  get sentence() { return $('sentence').textContent; },
  get broadcasts() {
    return [...tiles].map(([index, { player, broadcast, latency, veil }]) => ({
      index,
      publisher: broadcast.publisher,
      drawn: player.drawn,
      skipped: player.skipped,
      errors: player.errors,
      seq: player.last?.seq ?? null,
      latencyMs: player.latency(),
      shownLatency: latency.textContent,
      veil: veil.textContent,
      stamp: player.stamp(),
    }));
  },
  // The stamp read back from the first broadcast's canvas.
  get stamp() { return tiles.values().next().value?.player.stamp() ?? null; },
  get latencyMs() { return tiles.values().next().value?.player.latency() ?? null; },
};

show();
requestAnimationFrame(paint);
link.start();
