import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { newIdentity } from '../../../src/sip/sdp/build.ts'
import {
  answerOffer,
  applyAnswer,
  codecOfOffer,
  combine,
  DEFAULT_PREFERENCES,
  makeOffer,
  type MediaPreferences,
  type NegotiatedMedia,
} from '../../../src/sip/sdp/negotiate.ts'
import { parseSdp } from '../../../src/sip/sdp/parse.ts'

const fixture = (name: string): string =>
  readFileSync(new URL(`../../../fixtures/sdp/${name}.sdp`, import.meta.url), 'latin1')
const local = { host: '192.0.2.1', port: 20000 }
const prefs: MediaPreferences = DEFAULT_PREFERENCES
const answer = (offer: string, more: Partial<MediaPreferences> = {}): ReturnType<typeof answerOffer> =>
  answerOffer(newIdentity('1'), offer, local, { ...prefs, ...more })
const mediaOf = (name: string, more: Partial<MediaPreferences> = {}): NegotiatedMedia | undefined =>
  answer(fixture(name), more)?.media

describe('answering the offers of the field', () => {
  it.each<[string, Partial<NegotiatedMedia>]>([
    ['twilio', { host: '54.172.60.190', port: 17384, rtcpPort: 17385, codec: 'pcmu', payloadType: 0, dtmfPayloadType: 101, ptimeMs: 20, direction: 'sendrecv' }],
    ['sonus-sbc', { host: '203.0.113.21', codec: 'pcma', payloadType: 8, dtmfPayloadType: 96, ptimeMs: 20 }],
    ['static-only', { codec: 'pcma', payloadType: 8, port: 8000, ptimeMs: 20 }],
    ['cisco-hold-zero', { direction: 'recvonly', codec: 'pcmu' }],
    ['session-level-hold', { direction: 'recvonly', port: 40000 }],
    ['browser-like', { codec: 'pcmu', dtmfPayloadType: 126, ptimeMs: 30, rtcpPort: 51473, host: '192.0.2.40' }],
    ['savp-then-avp', { port: 9002, codec: 'pcma', dtmfPayloadType: 101 }],
    ['lower-case-dynamic', { codec: 'pcma', payloadType: 97, dtmfPayloadType: 99, ptimeMs: 40 }],
    ['ipv6', { host: '2001:db8::7' }],
    ['wideband-pcmu-name', { codec: 'pcma', payloadType: 8, ptimeMs: 20 }],
  ])('%s', (name, expected) => {
    expect(mediaOf(name)).toMatchObject(expected)
  }) // prettier-ignore

  it.each(['savp-only', 'g729-only', 'port-zero'])('%s has nothing for us', (name) => {
    expect(answer(fixture(name))).toBeUndefined()
    expect(codecOfOffer(fixture(name), ['pcmu', 'pcma'])).toBeUndefined()
  })

  it('keeps the offerer’s order of codecs, and its payload types', () => {
    expect(answer(fixture('sonus-sbc'))?.sdp).toContain('m=audio 20000 RTP/AVP 8 96\r\n')
    expect(answer(fixture('lower-case-dynamic'))?.sdp).toContain('a=rtpmap:97 PCMA/8000\r\n')
    expect(mediaOf('sonus-sbc', { codecs: ['pcmu'] })).toMatchObject({ codec: 'pcmu', payloadType: 0 })
  })

  it('refuses the media lines that are not ours by port 0, in their places', () => {
    const lines = (sdp: string | undefined): string[] => sdp?.split('\r\n').filter((l) => l.startsWith('m=')) ?? []
    expect(lines(answer(fixture('savp-then-avp'))?.sdp)).toEqual([
      'm=audio 0 RTP/SAVP 0',
      'm=audio 20000 RTP/AVP 8 101',
      'm=image 0 UDPTL t38',
    ])
    expect(lines(answer(fixture('browser-like'))?.sdp)).toEqual(['m=audio 20000 RTP/AVP 0 126', 'm=video 0 RTP/AVP 96'])
  })

  it('leaves telephone-event out when it is not wanted', () => {
    expect(mediaOf('twilio', { dtmf: false })?.dtmfPayloadType).toBeUndefined()
    expect(answer(fixture('twilio'), { dtmf: false })?.sdp).not.toContain('telephone-event')
  })

  it('never answers with the null address of the offer', () => {
    const sdp = answer(fixture('cisco-hold-zero'))?.sdp ?? ''
    expect(sdp).toContain('c=IN IP4 192.0.2.1')
    expect(sdp).toContain('a=recvonly')
    expect(sdp).not.toContain('0.0.0.0')
  })
})

describe('writing', () => {
  it('is exactly this', () => {
    expect(makeOffer(newIdentity('42'), local, prefs)).toBe(
      [
        'v=0',
        'o=- 42 1 IN IP4 192.0.2.1',
        's=-',
        'c=IN IP4 192.0.2.1',
        't=0 0',
        'm=audio 20000 RTP/AVP 0 8 101',
        'a=rtpmap:0 PCMU/8000',
        'a=rtpmap:8 PCMA/8000',
        'a=rtpmap:101 telephone-event/8000',
        'a=fmtp:101 0-15',
        'a=ptime:20',
        'a=maxptime:60',
        'a=sendrecv',
        '',
      ].join('\r\n'),
    )
  })

  it('raises the version in o= only when something changed', () => {
    const identity = newIdentity('1')
    const version = (sdp: string): string | undefined => parseSdp(sdp)?.version
    expect(version(makeOffer(identity, local, prefs))).toBe('1')
    expect(version(makeOffer(identity, local, prefs))).toBe('1')
    expect(version(makeOffer(identity, local, prefs, 'sendonly'))).toBe('2')
    expect(version(answerOffer(identity, fixture('twilio'), local, prefs)?.sdp ?? '')).toBe('3')
    expect(version(answerOffer(identity, fixture('twilio'), local, prefs)?.sdp ?? '')).toBe('3')
  })

  it('keeps count and order of media lines in later offers', () => {
    const lines = answer(fixture('savp-then-avp'))?.lines
    const offer = makeOffer(newIdentity('1'), local, prefs, 'sendrecv', lines)
    expect(offer.split('\r\n').filter((l) => l.startsWith('m='))).toEqual([
      'm=audio 0 RTP/SAVP 0',
      'm=audio 20000 RTP/AVP 0 8 101',
      'm=image 0 UDPTL t38',
    ])
  })

  it('writes IPv6 as such', () => {
    expect(makeOffer(newIdentity('1'), { host: '2001:db8::1', port: 4 }, prefs)).toContain('c=IN IP6 2001:db8::1\r\n')
  })

  it('lets nothing of a foreign m= line out of its line', () => {
    const offer = `v=0\r\nc=IN IP4 1.2.3.4\r\nm=audio 4 RTP/AVP 0\r\nm=vi\x00deo\x0b 5 RTP/A\x0cVP 96\r\n`
    expect(answer(offer)?.sdp).not.toMatch(/[\x00\x0b\x0c]/)
  })
})

describe('reading an answer', () => {
  it('takes its own payload type for digits', () => {
    expect(applyAnswer(fixture('sonus-sbc'), prefs)?.media.dtmfPayloadType).toBe(96)
  })

  it('is nothing when the stream was refused', () => {
    expect(applyAnswer(fixture('port-zero'), prefs)).toBeUndefined()
    expect(applyAnswer('garbage', prefs)).toBeUndefined()
    expect(applyAnswer('', prefs)).toBeUndefined()
  })
})

describe('directions', () => {
  it.each([
    ['sendrecv', 'sendrecv', 'sendrecv'],
    ['sendonly', 'sendrecv', 'recvonly'],
    ['recvonly', 'sendrecv', 'sendonly'],
    ['inactive', 'sendrecv', 'inactive'],
    ['sendrecv', 'sendonly', 'sendonly'],
    ['sendonly', 'sendonly', 'inactive'],
    ['recvonly', 'sendonly', 'sendonly'],
    ['sendrecv', 'inactive', 'inactive'],
  ] as const)('peer %s and wish %s make %s', (peer, wish, expected) => {
    expect(combine(peer, wish)).toBe(expected)
  })
})
