/** `trunkline bot init ts|python`: a project around the echo bot of examples/, which runs as it is. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { TextOut } from './terminal.ts'

const EXAMPLES = join(import.meta.dirname, '../../examples')

interface Template {
  /** Name to text. */
  files(): Record<string, string>
  /** Gets and starts it. */
  run: string
}

const example = (name: string): string => readFileSync(join(EXAMPLES, name), 'utf8')

const PACKAGE = {
  name: 'trunkline-bot',
  private: true,
  type: 'module',
  engines: { node: '>=24' },
  scripts: { start: 'node bot.ts' },
  dependencies: { ws: '^8.18.0' },
}

const TEMPLATES = {
  ts: {
    files: () => ({
      'bot.ts': example('echo.ts').replace('npm install ws, then node echo.ts', 'npm install, then npm start'),
      'package.json': `${JSON.stringify(PACKAGE, undefined, 2)}\n`,
    }),
    run: 'npm install && npm start',
  },
  python: {
    files: () => ({
      'bot.py': example('echo.py').replace(
        'pip install websockets, then python3 echo.py',
        'pip install -r requirements.txt, then python3 bot.py',
      ),
      'requirements.txt': 'websockets>=15\n',
    }),
    run: 'pip install -r requirements.txt && python3 bot.py',
  },
} satisfies Record<string, Template>
type Language = keyof typeof TEMPLATES

export interface BotInitOptions {
  language: Language
  dir: string
}

export function parseBotInit(args: string[]): BotInitOptions {
  const [language, dir = 'trunkline-bot', ...more] = parseArgs({
    args,
    strict: true,
    allowPositionals: true,
  }).positionals
  if ((language !== 'ts' && language !== 'python') || more.length > 0)
    throw new Error('say which language: trunkline bot init ts|python [DIR]')
  return { language, dir }
}

/** @returns the exit code; 1, and nothing written, when a file is there already */
export function botInit({ language, dir }: BotInitOptions, out: TextOut): number {
  const { files, run } = TEMPLATES[language]
  const texts = Object.entries(files())
  const there = texts.map(([name]) => join(dir, name)).filter((path) => existsSync(path))
  if (there.length > 0) {
    out.write(`${there.join(', ')}: there already; nothing was written\n`)
    return 1
  }
  mkdirSync(dir, { recursive: true })
  for (const [name, text] of texts) {
    writeFileSync(join(dir, name), text, { flag: 'wx' })
    out.write(`wrote ${join(dir, name)}\n`)
  }
  out.write(`
It says back what the caller says, and hangs up at #. Next:

  cd ${dir} && ${run}
  trunkline bot test ws://127.0.0.1:9000 --insecure     (from another terminal)
`)
  return 0
}
