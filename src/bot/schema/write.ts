/** `npm run schema`: writes docs/schema/ from the definitions. A test keeps the two together. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { documents } from './documents.ts'

const dir = new URL('../../../docs/schema/', import.meta.url)
mkdirSync(dir, { recursive: true })
for (const [name, text] of Object.entries(documents())) writeFileSync(new URL(name, dir), text)
