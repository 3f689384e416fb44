import { closeSync, fsyncSync, openSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { PGlite } from '@electric-sql/pglite'
import type { EmbeddedCommand, EmbeddedReport, EmbeddedStart } from './embedded.ts'
import { WireServer } from './embedded-wire.ts'
import { unpackImage } from './image/image.ts'

// The thread in which PGlite lives: a WASM query blocks this thread and no other.
const { dbDir, socketPath } = workerData as EmbeddedStart
const report = (message: EmbeddedReport): void => parentPort!.postMessage(message)

unpackImage(dbDir)
const db = await PGlite.create(dbDir)
const server = new WireServer(
  {
    exec: (messages, onRawData) => db.execProtocolRawStream(messages, { onRawData }),
    isInTransaction: () => db.isInTransaction(),
  },
  (err) => report({ is: 'error', text: err instanceof Error ? err.message : String(err) }),
)
await server.listen(socketPath)

parentPort!.on('message', (command: EmbeddedCommand) => {
  run(command).then(
    () => report({ is: 'done', id: command.id }),
    (err: unknown) => report({ is: 'refused', id: command.id, text: err instanceof Error ? err.message : String(err) }),
  )
})
report({ is: 'ready' })

async function run(command: EmbeddedCommand): Promise<void> {
  switch (command.do) {
    case 'settle':
      // PGlite runs with fsync off. A checkpoint writes the pages out, and this puts them on disk.
      await db.exec('checkpoint')
      syncTree(dbDir)
      break
    case 'close':
      await server.close()
      await db.close()
      syncTree(dbDir)
      break
  }
}

function syncTree(dir: string): void {
  for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue
    const file = openSync(join(entry.parentPath, entry.name), 'r+')
    fsyncSync(file)
    closeSync(file)
  }
}
