import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, normalize, sep } from 'node:path'
import { constants, zstdDecompressSync } from 'node:zlib'

/**
 * The prepared image: the data directory as initdb leaves it, so that the first start unpacks instead of running
 * initdb (0.3 s instead of 3 to 8 s). Made by `node src/storage/image/build.ts`; tar, packed with zstd and a window wide
 * enough to see that the three template databases are the same.
 */
export const IMAGE_VERSION = '0.5.14'
export const IMAGE_WINDOW_LOG = 26
export const imagePath = join(import.meta.dirname, `pglite-${IMAGE_VERSION}.tar.zst`)

const BLOCK = 512

/** Unpacks the image at `dir`, which appears whole or not at all. Without an image it does nothing: PGlite runs initdb. */
export function unpackImage(dir: string): void {
  if (existsSync(join(dir, 'PG_VERSION')) || !existsSync(imagePath)) return
  const tar = zstdDecompressSync(readFileSync(imagePath), {
    params: { [constants.ZSTD_d_windowLogMax]: IMAGE_WINDOW_LOG },
  })
  const draft = `${dir}.new`
  rmSync(draft, { recursive: true, force: true })
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(draft, { recursive: true, mode: 0o700 })
  for (const entry of readTar(tar)) {
    const path = join(draft, normalize(entry.name))
    if (!path.startsWith(draft + sep) && path !== draft) throw new Error(`${imagePath}: '${entry.name}' leads outside`)
    if (entry.directory) mkdirSync(path, { recursive: true, mode: 0o700 })
    else {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
      writeFileSync(path, entry.bytes, { mode: 0o600 })
    }
  }
  renameSync(draft, dir)
  const parent = openSync(dirname(dir), 'r')
  fsyncSync(parent)
  closeSync(parent)
}

interface TarEntry {
  name: string
  directory: boolean
  bytes: Buffer
}

/** ustar, POSIX.1-1988: 512-byte header (name at 0, octal size at 124, type at 156, prefix at 345), then the content in blocks. */
function* readTar(tar: Buffer): Generator<TarEntry> {
  const text = (at: number, length: number): string => tar.toString('utf8', at, at + length).replace(/\0.*$/s, '')
  for (let at = 0; at + BLOCK <= tar.length && tar[at] !== 0;) {
    const size = parseInt(text(at + 124, 12).trim() || '0', 8)
    const prefix = text(at + 345, 155)
    const type = String.fromCharCode(tar[at + 156])
    const name = (prefix ? `${prefix}/` : '') + text(at, 100)
    const start = at + BLOCK
    if (type === '0' || type === '\0' || type === '5')
      yield { name: name.replace(/^\/+/, ''), directory: type === '5', bytes: tar.subarray(start, start + size) }
    at = start + Math.ceil(size / BLOCK) * BLOCK
  }
}
