import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { BotServer } from '../../src/load/bot-server.ts'
import { demoBot, type DemoBotEvents } from '../../src/load/demo-bot.ts'
import { echoBot, echoCounts, payloadOf } from '../../src/load/echo-bot.ts'
import { Probe } from '../../src/load/probe.ts'
import { loadClip } from '../../src/load/clips.ts'
import { systemClock } from '../../src/lib/clock.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const thing of open.splice(0)) await thing.close()
})

/** The bridge's end of the socket, with every message that came, and a way to wait for one. */
async function bridge(
  server: BotServer,
): Promise<{ socket: WebSocket; next(match: (m: Buffer) => boolean): Promise<Buffer>; got: Buffer[] }> {
  const socket = new WebSocket(server.url)
  open.push({ close: () => socket.terminate() }, server)
  const got: Buffer[] = []
  let wake = (): void => {}
  socket.on('message', (data: Buffer) => {
    got.push(data)
    wake()
  })
  await once(socket, 'open')
  return {
    socket,
    got,
    async next(match) {
      for (;;) {
        const hit = got.find(match)
        if (hit) return hit
        await new Promise<void>((resolve) => (wake = resolve))
      }
    },
  }
}

describe('echoBot', () => {
  it('sends binary frames and base64 media back unchanged, each in its own kind, and times them', async () => {
    const counts = echoCounts()
    const probe = new Probe(1)
    probe.startMeasuring()
    const { socket, next } = await bridge(await BotServer.listen((s) => echoBot(s, systemClock, counts, probe)))
    const frame = Buffer.alloc(160, 0x11)
    probe.sending(frame, 0, 1, systemClock.now())
    socket.send('{"type":"start","call_id":"c"}')
    socket.send(frame)
    expect(await next((m) => m.length === 160)).toEqual(frame)

    probe.sending(frame, 0, 2, systemClock.now())
    socket.send(
      JSON.stringify({ type: 'media', event: 'media', media: { chunk: 1, payload: frame.toString('base64') } }),
    )
    const text = await next((m) => m[0] === 0x7b)
    expect(JSON.parse(text.toString())).toEqual({ type: 'response.audio.delta', delta: frame.toString('base64') })
    expect(probe.counts.heard).toBe(2)
    expect(counts).toMatchObject({ starts: 1, framesIn: 2, framesOut: 2, errors: 0 })
  })

  it("speaks Twilio's shape to who speaks it", async () => {
    const counts = echoCounts()
    const { socket, next } = await bridge(await BotServer.listen((s) => echoBot(s, systemClock, counts)))
    socket.send('{"event":"connected","protocol":"Call","version":"1.0.0"}')
    socket.send('{"event":"start","sequenceNumber":"1","streamSid":"MZ7","start":{"streamSid":"MZ7"}}')
    socket.send('{"event":"media","streamSid":"MZ7","media":{"track":"inbound","chunk":"1","payload":"AAEC"}}')
    expect(JSON.parse((await next(() => true)).toString())).toEqual({
      event: 'media',
      streamSid: 'MZ7',
      media: { payload: 'AAEC' },
    })
    expect(counts).toMatchObject({ starts: 1, framesIn: 1 })
  })

  it('reads the payload wherever it stands and takes control messages for none', () => {
    expect(payloadOf('{"type":"media","media":{"payload":"AAEC","chunk":1}}')).toBe('AAEC')
    expect(payloadOf('{"type":"dtmf","dtmf":{"digit":"1"}}')).toBeUndefined()
    expect(payloadOf('{"payload":"cut')).toBeUndefined()
  })
})

describe('demoBot', () => {
  it('speaks the native protocol: greeting with a mark, answer after speech, key, goodbye, hangup after playback', async () => {
    const heard: string[] = []
    const events: DemoBotEvents = {
      started: (callId) => heard.push(`start ${callId}`),
      heard: () => {},
      said: (clip) => heard.push(`say ${clip}`),
      played: (mark) => heard.push(`played ${mark}`),
      note: () => {},
      digit: (digit) => heard.push(`digit ${digit}`),
      hangingUp: () => heard.push('hangup'),
      stopped: (reason) => heard.push(`stop ${reason}`),
      error: (text) => heard.push(`error ${text}`),
    }
    const clips = {
      greeting: loadClip('bot-greeting'),
      answer: loadClip('bot-answer'),
      key: loadClip('bot-key'),
      goodbye: loadClip('bot-goodbye'),
    }
    const { socket, next, got } = await bridge(await BotServer.listen((s) => demoBot(s, clips, events)))
    const send = (m: Record<string, unknown>): void => socket.send(JSON.stringify(m))
    const mark = (name: string): Promise<Buffer> => next((m) => m.includes('"type":"mark"') && m.includes(`"${name}"`))
    send({ type: 'start', call_id: 'c1', from: '+911' })
    await mark('greeting')
    const bytesOf = (item: string): Buffer =>
      Buffer.concat(
        got
          .map((m) => JSON.parse(m.toString()) as { type: string; item_id?: string; delta?: string })
          .filter((m) => m.type === 'response.audio.delta' && m.item_id === item)
          .map((m) => Buffer.from(m.delta!, 'base64')),
      )
    expect(bytesOf('greeting')).toEqual(clips.greeting)
    send({ type: 'mark', mark: { name: 'greeting', status: 'played' } })
    const caller = loadClip('hello-caller')
    for (let at = 0; at < caller.length; at += 160) socket.send(caller.subarray(at, at + 160))
    for (let i = 0; i < 40; i++) send({ type: 'media', media: { payload: Buffer.alloc(160, 0xff).toString('base64') } })
    await mark('answer')
    send({ type: 'mark', mark: { name: 'answer', status: 'played' } })
    send({ type: 'dtmf', dtmf: { digit: '5', duration_ms: 100, method: 'rfc4733' } })
    const bye = await next((m) => m.includes('session.hangup'))
    expect(JSON.parse(bye.toString())).toEqual({ type: 'session.hangup', reason: 'goodbye', after_playback: true })
    expect(bytesOf('goodbye')).toEqual(clips.goodbye)
    expect(heard).toEqual([
      'start c1',
      'say greeting',
      'played greeting',
      'say answer',
      'played answer',
      'digit 5',
      'say key',
      'say goodbye',
      'hangup',
    ])
  })
})
