// Every sentence that stands where a picture should be, in one place.

import { nameOf, shortPeer } from './people.js';

const OLD_PICTURE_MS = 1500;

// Why nothing at all can be shown, or an empty string.
export function stageSentence(link, state) {
  if (link.refused === 'key') {
    return 'This page has no key to the node. Open the link that roommate printed, with everything behind the #.';
  }
  if (!link.up && state === null) return link.tries > 2 ? gone(0) : 'Opening…';
  if (!link.up) return gone(performance.now() - link.lostAt);
  if (state === null) return 'Opening…';
  if (state.broadcasts.length === 0) {
    return state.notice ?? 'Waiting: nobody is publishing yet.';
  }
  if (!('VideoDecoder' in globalThis)) {
    return 'This browser cannot decode live video (it has no WebCodecs). Use a current Chrome, Edge, Firefox or Safari on this computer.';
  }
  return '';
}

function gone(ms) {
  const since = ms > 3000 ? ` for ${Math.round(ms / 1000)} s` : '';
  return `The node on this computer has not answered${since}. If it has ended, start it again and open its new link; if not, this page comes back by itself.`;
}

// Why one broadcast shows no picture, or an old one; else an empty string.
export function tileSentence(player, broadcast) {
  const name = nameOf(broadcast);
  if (player.supported === false) {
    return `This browser has no decoder for ${broadcast.codec} (H.264). Chrome, Edge, Safari and Firefox have one; some builds of Chromium do not.`;
  }
  if (player.drawn === 0) return `Waiting for the first picture of ${name}…`;
  const old = performance.now() - player.lastDrawnAt;
  if (old > OLD_PICTURE_MS) return `No new picture from ${name} for ${Math.round(old / 1000)} s.`;
  return '';
}

export function routeWords(broadcast, members) {
  const { route } = broadcast;
  if (route === 'direct') return 'direct';
  if (route === 'lan') return 'on this network';
  if (route.startsWith('via:')) {
    const peer = route.slice(4);
    const member = members.find((one) => one.peer === peer);
    return `through ${member ? nameOf(member) : shortPeer(peer)}`;
  }
  return '';
}

export function facts(broadcast, members) {
  const words = [routeWords(broadcast, members)];
  if (broadcast.width > 0) words.push(`${broadcast.width}×${broadcast.height}`);
  if (broadcast.kbps !== null) words.push(`${(broadcast.kbps / 1000).toFixed(1)} Mbit/s`);
  if (broadcast.latency_ms !== null) {
    const { p50, p99 } = broadcast.latency_ms;
    words.push(`to this node ${Math.round(p50)} ms, p99 ${Math.round(p99)}`);
  }
  return words.filter((word) => word !== '').join(' · ');
}

export function endsWords(room) {
  const seconds = room?.ends_in_s;
  if (seconds === null || seconds === undefined || seconds > 900) return '';
  return seconds > 60 ? `The link ends in ${Math.round(seconds / 60)} min.` : 'The link ends within a minute.';
}
