// Says back what the caller says; `#` hangs up. Run: npm install ws, then node echo.ts (Node 24).
import { WebSocketServer } from 'ws'

/** What this bot reads of the bridge's messages; there is more in each, and there are more types. */
interface Message {
  type: string
  from?: string
  reason?: string
  media?: { payload: string }
  dtmf?: { digit: string }
}

const server = new WebSocketServer({ port: Number(process.env.PORT ?? 9000) })
server.on('listening', () => console.log(`listening on ws://127.0.0.1:${(server.address() as { port: number }).port}`))

server.on('connection', (socket) => {
  const send = (type: string, fields = {}): void => socket.send(JSON.stringify({ type, ...fields }))
  socket.on('error', (err) => console.error(err.message))
  socket.on('message', (data: Buffer) => {
    const message = JSON.parse(data.toString()) as Message
    switch (message.type) {
      case 'start':
        console.log(`call from ${message.from}`)
        return send('session.update', { vad: true }) // asks for speech.started
      case 'media': // 20 ms of the caller; answer in pieces of any size, at any speed
        return send('response.audio.delta', { delta: message.media?.payload })
      case 'speech.started': // barge-in: what is still queued shall not be heard
        return send('clear')
      case 'dtmf':
        if (message.dtmf?.digit === '#') send('session.hangup', { after_playback: true })
        return
      case 'stop':
        console.log(`ended: ${message.reason}`)
    }
  })
})
