/** Somebody who dials the bot with a signature that is wrong, and says nothing: a bot that verifies turns him away. */
import { BotSocket, type SocketEnd } from '../bot/socket.ts'
import { checkEgress } from '../egress/egress.ts'
import type { Clock } from '../lib/clock.ts'
import { errorText } from '../lib/errors.ts'
import type { Finding } from './rules.ts'
import { kindOf, planOf, type Target } from './target.ts'

const CONNECT_MS = 3000
/** Some libraries can refuse only once the socket is open. */
const TURNED_AWAY_MS = 1000

export async function wrongSignature(target: Target, callId: string, clock: Clock): Promise<Finding> {
  if (target.secret === undefined) return ['info', 'say --secret to have this tested']
  const kind = kindOf(target)
  const facts = planOf(target, callId).start
  const signed = (secret?: string): Record<string, string> =>
    kind.headers({ url: target.url, callId, wallMs: clock.wallMs(), secret, facts })
  if (JSON.stringify(signed(target.secret)) === JSON.stringify(signed()))
    return ['info', `${target.dialect} has no signature`]
  const headers = { ...target.headers, 'X-Trunkline-Call-Id': callId, ...signed(`not ${target.secret}`) }
  try {
    const { lookup } = await checkEgress(target.url, 'bot', { allowInsecure: target.insecure })
    const end = await knock({ url: target.url, headers, subprotocols: kind.subprotocols, lookup }, clock)
    return end ? ['pass', `turned away: ${end.reason}`] : ['warn', 'anybody who finds the address can talk to this bot']
  } catch (err) {
    return ['fail', errorText(err)]
  }
}

/** How the bot ended it; undefined: it did not. */
function knock(
  address: Pick<ConstructorParameters<typeof BotSocket>[0], 'url' | 'headers' | 'subprotocols' | 'lookup'>,
  clock: Clock,
): Promise<SocketEnd | undefined> {
  return new Promise((resolve, reject) => {
    const socket: BotSocket = new BotSocket({
      ...address,
      connectTimeoutMs: CONNECT_MS,
      clock,
      listener: {
        open: () =>
          void clock.after(TURNED_AWAY_MS, () => {
            resolve(undefined)
            socket.close(1000, 'bot test')
          }),
        message: () => undefined,
        closed: resolve,
        fault: reject,
      },
    })
  })
}
