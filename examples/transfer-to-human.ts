// Connects the caller to a person: 0 asks for it. While it rings the caller is with us; if nobody answers, or the line is
// busy, the caller stays with the bot. Run: npm install ws, then TRANSFER_TO=+919876543210 node transfer-to-human.ts
import { WebSocketServer } from 'ws'

interface Message {
  type: string
  from?: string
  reason?: string
  state?: string
  sip_status?: number
  dtmf?: { digit: string }
}

/** A number of the world (E.164), or a `sip:` address. */
const HUMAN = process.env.TRANSFER_TO ?? '+919876543210'

/** PCM16, 8000 samples a second, base64. Stands for speech of your own. */
function tone(hz: number, ms: number): string {
  const samples = Int16Array.from({ length: ms * 8 }, (_, i) => 8000 * Math.sin((2 * Math.PI * hz * i) / 8000))
  return Buffer.from(samples.buffer).toString('base64')
}
const WELCOME = tone(440, 400) // "press 0 to talk to a person"
const ONE_MOMENT = tone(660, 400) // "one moment, I will connect you"
const NOBODY = tone(300, 400) // "nobody is free; can I help you?"

const server = new WebSocketServer({ port: Number(process.env.PORT ?? 9000) })
server.on('listening', () => console.log(`listening on ws://127.0.0.1:${(server.address() as { port: number }).port}`))

server.on('connection', (socket) => {
  let transferring = false
  let caller = ''
  const send = (type: string, fields = {}): void => socket.send(JSON.stringify({ type, ...fields }))
  const say = (delta: string): void =>
    send('response.audio.delta', { delta, format: { encoding: 'pcm16', sample_rate: 8000 } })

  function transfer(): void {
    if (transferring) return
    transferring = true
    say(ONE_MOMENT)
    send('session.transfer', {
      event_id: 'to-a-human', // comes back as `ref`
      target: HUMAN,
      mode: 'bridge', // we call the person and join the two; 'blind' lets the carrier do it (REFER)
      after_playback: true,
      timeout_s: 25,
      on_fail: 'resume',
      context: { caller, why: 'asked for a person' }, // kept with the call's record
    })
  }

  socket.on('message', (data: Buffer) => {
    const message = JSON.parse(data.toString()) as Message
    switch (message.type) {
      case 'start':
        caller = message.from ?? ''
        return say(WELCOME)
      case 'dtmf':
        return message.dtmf?.digit === '0' ? transfer() : undefined
      case 'transfer.status': // trying, ringing, answered, then completed, failed or cancelled
        console.log(`transfer: ${message.state} ${message.sip_status ?? ''} ${message.reason ?? ''}`)
        if (message.state !== 'failed' && message.state !== 'cancelled') return
        transferring = false
        return say(NOBODY)
      case 'error': // our own mistake, in words: the call goes on
        return console.error(message)
      case 'stop':
        console.log(`ended: ${message.reason}`)
    }
  })
  socket.on('error', (err) => console.error(err.message))
})
