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
  return '';
}

function gone(ms) {
  const since = ms > 3000 ? ` for ${Math.round(ms / 1000)} s` : '';
  return `The node on this computer has not answered${since}. If it has ended, start it again and open its new link; if not, this page comes back by itself.`;
}

// Why one broadcast shows no picture, or an old one; else an empty string. `takenAt` is when the
// figures came.
export function tileSentence(figures, takenAt, broadcast) {
  const name = nameOf(broadcast);
  if (figures.supported === false) {
    return `This browser has no decoder for ${broadcast.codec} (H.264). Chrome, Edge, Safari and Firefox have one; some builds of Chromium do not.`;
  }
  if (figures.drawn === 0) return `Waiting for the first picture of ${name}…`;
  const old = figures.freshForMs + performance.now() - takenAt;
  if (old > OLD_PICTURE_MS) return `No new picture from ${name} for ${Math.round(old / 1000)} s.`;
  return '';
}

// Why a broadcast is not heard, where the person did not choose it, or is shown the slower way.
export function soundWords(broadcast, { sound, slow }, mixer) {
  if (slow) {
    return globalThis.isSecureContext
      ? 'This browser has no WebCodecs for H.264: pictures come a little later.'
      : 'Over plain HTTP browsers withhold WebCodecs: pictures come a little later.';
  }
  if (broadcast.sound === null) return '';
  const { codec } = broadcast.sound;
  if (!mixer.supported || sound?.supported === false) {
    return `This browser cannot decode this sound (${codec}).`;
  }
  return '';
}

// From the publisher over everybody who passes the pictures on, to this page.
function pathWords(broadcast, state) {
  const path = [...(broadcast.path ?? [])].reverse();
  if (path.length === 0) return 'nobody feeds us';
  const names = path.map((peer) => {
    const member = state.members.find((one) => one.peer === peer);
    return member ? nameOf(member) : peer === broadcast.publisher ? nameOf(broadcast) : shortPeer(peer);
  });
  const how = { direct: ' (direct)', lan: ' (this network)' }[broadcast.route] ?? '';
  return `${names.join(' → ')} → you${how}`;
}

const round = (value) => String(Math.round(value));

function rate(kbps) {
  return kbps >= 1000 ? `${(kbps / 1000).toFixed(1)} Mbit/s` : `${round(kbps)} kbit/s`;
}

function soundRow(sound, described) {
  if (sound === null || described === null) return ['Sound', 'none'];
  const channels = { 1: 'mono', 2: 'stereo' }[described.channels] ?? `${described.channels} channels`;
  const name = { opus: 'Opus', 'mp4a.40.2': 'AAC' }[described.codec] ?? described.codec;
  return ['Sound', `${name} ${described.sample_rate / 1000} kHz ${channels} · ${round(sound.bufferedMs)} ms in hand`];
}

// The figures of one broadcast: [what, value], in order.
export function detailRows(broadcast, figures, state) {
  const [width, height] = figures.size ?? [broadcast.width, broadcast.height];
  const rows = [
    ['Picture', `${width}×${height} · ${round(figures.fps ?? 0)} fps · ${rate(figures.kbps ?? 0)}`],
    ['Path', pathWords(broadcast, state)],
  ];
  const { latencyMs } = figures;
  if (latencyMs) {
    const error = broadcast.clock_error_ms;
    const bound = error === null ? '' : ` ± ${Math.max(1, Math.round(error))}`;
    rows.push(['Latency', `${round(latencyMs.p50)}${bound} ms · p99 ${round(latencyMs.p99)} ms`]);
  }
  if (broadcast.latency_ms !== null) {
    const { p50, p99 } = broadcast.latency_ms;
    rows.push(['To this node', `${round(p50)} ms · p99 ${round(p99)} ms`]);
  }
  rows.push(soundRow(figures.sound, broadcast.sound));
  const offset = figures.avOffsetMs?.p50;
  if (offset !== undefined) {
    rows.push(['Lip sync', `${offset > 0 ? '+' : ''}${round(offset)} ms`]);
  }
  const dry = figures.sound ? ` · sound ran dry ${figures.sound.underruns} times` : '';
  rows.push(['Lost', `${broadcast.gaps} · ${figures.skipped} skipped · ${broadcast.stalls} stalls${dry}`]);
  return rows;
}

export function endsWords(room) {
  const seconds = room?.ends_in_s;
  if (seconds === null || seconds === undefined || seconds > 900) return '';
  return seconds > 60 ? `The link ends in ${Math.round(seconds / 60)} min.` : 'The link ends within a minute.';
}
