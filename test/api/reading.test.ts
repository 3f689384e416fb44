import Type from 'typebox'
import { describe, expect, it } from 'vitest'
import { redactUrl } from '../../src/api/access-log.ts'
import { coerce, validatorCompiler } from '../../src/api/validation.ts'

const Schema = Type.Object({
  flag: Type.Optional(Type.Boolean()),
  count: Type.Optional(Type.Integer({ minimum: 1 })),
  name: Type.Optional(Type.String({ maxLength: 5 })),
  kind: Type.Optional(Type.Union([Type.Literal('a'), Type.Literal('b'), Type.Literal('c')])),
})

describe('lenient reading', () => {
  const cases: [given: unknown, read: unknown][] = [
    [{ flag: '1' }, { flag: true }],
    [{ flag: '0' }, { flag: false }],
    [{ flag: 'TRUE' }, { flag: true }],
    [{ flag: 'no' }, { flag: false }],
    [{ flag: 1 }, { flag: true }],
    [{ flag: 0 }, { flag: false }],
    [{ flag: true }, { flag: true }],
    [{ flag: 2 }, { flag: 2 }],
    [{ count: ' 7 ' }, { count: 7 }],
    [{ count: '7.5' }, { count: '7.5' }],
    [{ count: '1e3' }, { count: '1e3' }],
    [{ count: true }, { count: true }],
    [{ name: 416102 }, { name: '416102' }],
    [{ name: 1e21 }, { name: 1e21 }],
    [{ name: ' x ' }, { name: 'x' }],
    [{ name: null, flag: '', count: '  ' }, {}],
    [{ other: 1 }, {}],
    [JSON.parse('{"__proto__":{"flag":true},"constructor":{"name":"x"}}'), {}],
    [[1], [1]],
    ['text', 'text'],
    [null, null],
  ]
  for (const [given, read] of cases)
    it(`reads ${JSON.stringify(given)}`, () => expect(coerce(Schema, given)).toEqual(read))

  it('pollutes no prototype', () => {
    coerce(Schema, JSON.parse('{"__proto__":{"polluted":1}}'))
    expect(({} as { polluted?: number }).polluted).toBeUndefined()
  })
})

describe('validatorCompiler', () => {
  const check = (reading: 'strict' | 'lenient', value: unknown, httpPart = 'body') =>
    validatorCompiler(reading)({ schema: Schema, httpPart, method: 'POST', url: '/' })(value) as {
      value?: unknown
      error?: { issues: unknown }
    }

  it('takes JSON types as they are when strict, texts in queries all the same', () => {
    expect(check('strict', { flag: '1' }).error).toBeDefined()
    expect(check('strict', { flag: '1' }, 'querystring')).toEqual({ value: { flag: true } })
  })

  it('names each wrong field once, with what is allowed', () => {
    const { error } = check('lenient', { flag: 'maybe', count: 0, name: 'too long', kind: 'd' })
    expect(error?.issues).toEqual([
      { field: 'flag', message: 'must be boolean' },
      { field: 'count', message: 'must be >= 1' },
      { field: 'name', message: 'must not have more than 5 characters' },
      { field: 'kind', message: 'must be a, b or c' },
    ])
  })
})

describe('redactUrl', () => {
  const cases: [url: string, logged: string][] = [
    ['/a', '/a'],
    ['/a?token=x&b=1', '/a?token=***&b=1'],
    ['/a?TOKEN=x', '/a?TOKEN=***'],
    ['/a?%74oken=x', '/a?%74oken=***'],
    ['/a?api_key=x&sig=y&exp=1', '/a?api_key=***&sig=***&exp=1'],
    ['/a?phone=09876543210', '/a?phone=09876******10'],
    ['/a?phone=%2B919876543210&ext_no=2101', '/a?phone=+9198******10&ext_no=2101'],
    ['/a?x=%zz&token', '/a?x=%zz&token'],
  ]
  for (const [url, logged] of cases) it(`writes ${url} as ${logged}`, () => expect(redactUrl(url)).toBe(logged))
})
