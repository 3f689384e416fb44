/** Datagrams of 64 KB made to hurt a SIP parser: each aims at one loop or pattern in it. */
const SIZE = 65_500

const HEAD = [
  'INVITE sip:a@192.0.2.1 SIP/2.0',
  'Via: SIP/2.0/UDP 192.0.2.5:5060;branch=z9hG4bKh1;rport',
  'Max-Forwards: 70',
  'From: <sip:a@192.0.2.5>;tag=1',
  'To: <sip:b@192.0.2.1>',
  'Call-ID: h@192.0.2.5',
  'CSeq: 1 INVITE',
  '',
].join('\r\n')
const END = 'Content-Length: 0\r\n\r\n'

/** `unit` repeated until the datagram is full. */
const fill = (before: string, unit: string, after = '\r\n'): Buffer => {
  const room = SIZE - HEAD.length - before.length - after.length - END.length
  return Buffer.from(HEAD + before + unit.repeat(Math.max(0, Math.floor(room / Buffer.byteLength(unit)))) + after + END)
}

const swap = (line: RegExp, by: string, unit: string, after: string): Buffer => {
  const room = SIZE - HEAD.length - END.length
  return Buffer.from(HEAD.replace(line, by + unit.repeat(Math.floor(room / unit.length)) + after) + END)
}

export const hostileDatagrams = (): [name: string, bytes: Buffer][] => [
  ['Via commas', fill('Via: ', ',')],
  ['Via list', fill('Via: SIP/2.0/UDP h;branch=z9hG4bK1', ',SIP/2.0/UDP h')],
  ['Via semicolons', fill('Via: SIP/2.0/UDP h', ';')],
  ['Via params', fill('Via: SIP/2.0/UDP h', ';a=b')],
  ['Via colons', fill('Via: SIP/2.0/UDP ', ':', 'x\r\n')],
  ['Via spaces', fill('Via: SIP', ' ', 'x\r\n')],
  ['Via digits', fill('Via: SIP/2.0/UDP h:', '1')],
  ['Contact quotes', fill('Contact: ', '"')],
  ['Contact backslashes', fill('Contact: "', '\\')],
  ['Contact nested quotes', fill('Contact: ', '"\\""')],
  ['Contact angles', fill('Contact: ', '<')],
  ['Contact angle pairs', fill('Contact: ', '<>,')],
  ['Contact addresses', fill('Contact: <sip:a@b>', ',<sip:a@b>')],
  ['Contact params', fill('Contact: <sip:a@b>', ';x="y"')],
  ['folding', fill('Subject: x', '\r\n ')],
  ['folding with text', fill('Subject: x', '\r\n a')],
  ['short headers', fill('', 'a:b\r\n', '')],
  ['compact Vias', fill('', 'v:SIP/2.0/UDP h\r\n', '')],
  ['long name', fill('X', 'x', ': 1\r\n')],
  ['no colon', fill('', 'x')],
  ['spaces before colon', fill('Subject', ' ', ': 1\r\n')],
  ['spaces in value', fill('Subject: a', ' ', 'b\r\n')],
  ['only CR', fill('Subject: ', '\r')],
  ['only LF', fill('Subject: ', '\n')],
  ['UTF-8', fill('Subject: ', '\u{1f4de}')],
  [
    'bad UTF-8',
    Buffer.concat([Buffer.from(HEAD + 'Subject: '), Buffer.alloc(SIZE - 400, 0xff), Buffer.from('\r\n' + END)]),
  ],
  ['NULs', fill('Subject: ', '\0')],
  ['long Request-URI', swap(/^INVITE \S+/, 'INVITE sip:a@', 'a', '')],
  ['Request-URI params', swap(/^INVITE \S+/, 'INVITE sip:a@b', ';a', '')],
  ['Request-URI escapes', swap(/^INVITE \S+/, 'INVITE sip:', '%41', '@b')],
  ['Request-URI ats', swap(/^INVITE \S+/, 'INVITE sip:', '@', '')],
  ['Request-URI of spaces', swap(/^INVITE \S+/, 'INVITE ', ' ', 'x')],
  ['Request-Line tail', swap(/SIP\/2\.0\r/, 'SIP/2.0', ' ', 'x\r')],
  ['long method', swap(/^INVITE/, 'I', 'N', '')],
  ['From quotes', swap(/From: \S+/, 'From: "', '\\"', '')],
  ['From display', swap(/From: \S+/, 'From: ', 'a ', '<sip:a@b>;tag=1')],
  ['To params', swap(/To: \S+/, 'To: <sip:a@b>', ';a=";"', '')],
  ['CSeq digits', swap(/CSeq: 1/, 'CSeq: ', '1', '')],
  ['CSeq spaces', swap(/CSeq: 1/, 'CSeq: 1', ' ', '')],
  ['no headers at all', Buffer.alloc(SIZE, 0x41)],
  ['CRLFs', Buffer.from('\r\n'.repeat(SIZE / 2))],
  ['spaces', Buffer.alloc(SIZE, 0x20)],
  ['noise', Buffer.alloc(SIZE, 0xff)],
]
