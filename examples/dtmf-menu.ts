// A menu by keys: 1 and 2 play something, * says the menu again, # says goodbye. The sounds are tones, so that this file
// needs no others; put speech of your own in their place. Run: npm install ws, then node dtmf-menu.ts (Node 24).
import { WebSocketServer } from 'ws'

interface Message {
  type: string
  dtmf?: { digit: string }
  mark?: { name: string; status: 'played' | 'cleared' }
}

/** PCM16, 8000 samples a second, base64. */
function tone(hz: number, ms: number): string {
  const samples = Int16Array.from({ length: ms * 8 }, (_, i) => 8000 * Math.sin((2 * Math.PI * hz * i) / 8000))
  return Buffer.from(samples.buffer).toString('base64')
}

const SOUNDS = {
  menu: [tone(440, 300), tone(550, 300), tone(660, 600)], // "for this press 1, for that press 2"
  one: [tone(700, 1000)],
  two: [tone(900, 1000)],
  sorry: [tone(300, 400)],
  goodbye: [tone(660, 300), tone(440, 300)],
}
type Sound = keyof typeof SOUNDS

const KEYS: Record<string, Sound | undefined> = { '1': 'one', '2': 'two', '*': 'menu', '#': 'goodbye' }
const PATIENCE_MS = 8000

const server = new WebSocketServer({ port: Number(process.env.PORT ?? 9000) })
server.on('listening', () => console.log(`listening on ws://127.0.0.1:${(server.address() as { port: number }).port}`))

server.on('connection', (socket) => {
  let waiting: NodeJS.Timeout | undefined
  let asked = 0
  const send = (type: string, fields = {}): void => socket.send(JSON.stringify({ type, ...fields }))

  function say(sound: Sound): void {
    // All at once: the bridge queues it and plays it at the speed of speech.
    for (const delta of SOUNDS[sound])
      send('response.audio.delta', { delta, item_id: sound, format: { encoding: 'pcm16', sample_rate: 8000 } })
    // Comes back when the last sample before it has been heard, or was thrown away.
    send('mark', { mark: { name: sound } })
  }

  function menu(): void {
    if (++asked > 3) return leave()
    say('menu')
  }

  function leave(): void {
    say('goodbye')
    send('session.hangup', { reason: 'goodbye', after_playback: true })
  }

  socket.on('message', (data: Buffer) => {
    const message = JSON.parse(data.toString()) as Message
    switch (message.type) {
      case 'start':
        return menu()
      case 'dtmf': {
        clearTimeout(waiting)
        send('clear') // a key interrupts whatever is being said
        asked = 0
        const sound = KEYS[message.dtmf?.digit ?? ''] ?? 'sorry'
        console.log(`key ${message.dtmf?.digit}: ${sound}`)
        return sound === 'goodbye' ? leave() : sound === 'menu' ? menu() : say(sound)
      }
      case 'mark':
        // The caller has heard it to the end and may think now; then the menu comes again.
        if (message.mark?.status === 'played') waiting = setTimeout(menu, PATIENCE_MS)
    }
  })
  socket.on('close', () => clearTimeout(waiting))
  socket.on('error', (err) => console.error(err.message))
})
