#!/usr/bin/env node
/** The command line: `trunkline demo | serve | bot | print-config`. */
import { parseArgs } from 'node:util'
import { ConfigError, loadConfig, printConfig } from '../config.ts'
import { systemClock } from '../lib/clock.ts'
import { errorText } from '../lib/errors.ts'
import { Terminal } from './terminal.ts'

const USAGE = `trunkline COMMAND
  demo [--once] [--out DIR] [--log-level LEVEL]
                  a call between a simulated phone and a bot through the server, all on this machine;
                  --once: exit after it, with 0 only if its recording holds both sides (WAV in DIR, default data/demo)
  serve           the server, configured by TRUNKLINE_* (docs/configuration.md)
  bot init ts|python [DIR]
                  writes a small bot that runs, in DIR (default trunkline-bot)
  bot test URL [--dialect NAME] [--secret S] [--insecure] [--quick] [--json]
           [--header 'Name: value']… [--encoding E] [--rate HZ] [--transport json|binary]
                  plays the bridge and a caller against the bot at URL: a verdict per rule, in about 20 s (--quick: 8 s);
                  --insecure: ws:// and private addresses; --secret: signs the handshake, and tries a wrong signature, too
  print-config    the settings in force, secrets hidden`

/** @returns the exit code; undefined: stays up */
async function main([command, ...rest]: string[]): Promise<number | undefined> {
  switch (command) {
    case 'demo':
      return runDemo(rest)
    case 'serve':
      await (await import('../main.ts')).serve()
      return undefined
    case 'bot':
      return runBot(rest)
    case 'print-config':
      process.stdout.write(`${printConfig(loadConfig())}\n`)
      return 0
    case 'help':
    case '--help':
    case '-h':
      process.stdout.write(`${USAGE}\n`)
      return 0
    default:
      process.stderr.write(`${USAGE}\n`)
      return 2
  }
}

async function runBot([what, ...args]: string[]): Promise<number> {
  switch (what) {
    case 'init': {
      const { botInit, parseBotInit } = await import('./bot-init.ts')
      return botInit(parseBotInit(args), process.stdout)
    }
    case 'test': {
      const { parseBotTest, runBotTest } = await import('./bot-test.ts')
      return runBotTest(parseBotTest(args), systemClock, process.stdout)
    }
    default:
      process.stderr.write(`${USAGE}\n`)
      return 2
  }
}

async function runDemo(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    strict: true,
    options: { once: { type: 'boolean' }, out: { type: 'string' }, 'log-level': { type: 'string' } },
  })
  const interrupted = new Promise<void>((resolve) => {
    process.once('SIGINT', resolve)
    process.once('SIGTERM', resolve)
  })
  // What follows loads the whole server; the first line should not wait for it.
  const terminal = new Terminal(systemClock, process.stdout)
  terminal.tell('server', 'is starting')
  const { demo } = await import('./demo.ts')
  return demo({
    clock: systemClock,
    terminal,
    once: values.once ?? false,
    outDir: values.out ?? 'data/demo',
    logLevel: values['log-level'] ?? 'error',
    interrupted,
  })
}

try {
  const code = await main(process.argv.slice(2))
  if (code !== undefined) process.exit(code)
} catch (err) {
  process.stderr.write(`${err instanceof ConfigError ? err.message : errorText(err)}\n`)
  process.exit(2)
}
