import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { constants, zstdCompressSync } from 'node:zlib'
import { PGlite } from '@electric-sql/pglite'
import { IMAGE_WINDOW_LOG, imagePath } from './image.ts'

// Makes the prepared image again, after a change of @electric-sql/pglite (set IMAGE_VERSION first):
//   npx node src/storage/image/build.ts
const dir = mkdtempSync(join(tmpdir(), 'trunkline-image-'))
const db = await PGlite.create(join(dir, 'pg'))
await db.exec('checkpoint')
const tar = Buffer.from(await (await db.dumpDataDir('none')).arrayBuffer())
await db.close()
rmSync(dir, { recursive: true, force: true })
const params = { [constants.ZSTD_c_compressionLevel]: 19, [constants.ZSTD_c_windowLog]: IMAGE_WINDOW_LOG }
writeFileSync(imagePath, zstdCompressSync(tar, { params }))
