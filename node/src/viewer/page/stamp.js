// Reads the strip of cells on top of the test picture: which picture this is, and when it was
// taken. Mirrors `node/media/src/stamp.rs`. Only tests and the curious ask for it.

const CELLS = 80;

function layout(width) {
  const [w, h] = width >= 1280 ? [16, 16] : width >= 640 ? [8, 16] : [8, 8];
  const perRow = Math.min(Math.floor(width / w), CELLS);
  return perRow > 0 ? { w, h, perRow, height: Math.ceil(CELLS / perRow) * h } : null;
}

function crc16(bytes) {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) {
      crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
    }
  }
  return crc;
}

// `{ number, timeMs }` of what a canvas shows now, or null where that is no test picture.
export function readStamp(canvas) {
  const cells = layout(canvas.width);
  if (!cells || canvas.height < cells.height) return null;
  const context = canvas.getContext('2d');
  const { data } = context.getImageData(0, 0, canvas.width, cells.height);
  const bytes = new Uint8Array(CELLS / 8);
  for (let cell = 0; cell < CELLS; cell += 1) {
    const left = (cell % cells.perRow) * cells.w;
    const top = Math.floor(cell / cells.perRow) * cells.h;
    let sum = 0;
    let count = 0;
    for (let y = top + cells.h / 4; y < top + cells.h - cells.h / 4; y += 1) {
      for (let x = left + cells.w / 4; x < left + cells.w - cells.w / 4; x += 1) {
        sum += data[(y * canvas.width + x) * 4 + 1];
        count += 1;
      }
    }
    if (sum > 127 * count) bytes[cell >> 3] |= 0x80 >> (cell & 7);
  }
  const view = new DataView(bytes.buffer);
  if (crc16(bytes.subarray(0, 8)) !== view.getUint16(8)) return null;
  return { number: view.getUint32(0), timeMs: view.getUint32(4) };
}
