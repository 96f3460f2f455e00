import * as fc from 'fast-check'
import t from 'tap'
import { boundaryOf, readParts } from '../../../server/publish/multipart.ts'

const read = (body: string | Buffer, boundary = 'b', most = 10) => readParts(Buffer.from(body), boundary, most)
const lines = (...text: readonly string[]) => text.join('\r\n')
const named = (filename: string) => `Content-Disposition: form-data; name="files"; filename="${filename}"`
const ONE = lines('--b', named('root'), '', '{}', '--b--', '')

const GOOD: Record<string, string> = {
  'as our own client writes it': lines(
    '--b',
    'content-disposition: form-data; name="files"; filename="root"',
    'content-type: application/json',
    '',
    '{}',
    '--b--',
    '',
  ),
  'as notary and docker write it': lines(
    '--b',
    'Content-Disposition: form-data; name="files"; filename="root"',
    'Content-Type: application/octet-stream',
    '',
    '{}',
    '--b--',
    '',
  ),
  'without the last line end': ONE.slice(0, -2),
  'with something before and after it': `for mail programs\r\n${ONE}and after`,
  'with blanks after what divides the parts': ONE.replace('--b\r\n', '--b \t\r\n'),
  'with a header on two lines': ONE.replace('; filename', ';\r\n filename'),
  'with a name that is no quoted text': ONE.replace('"root"', 'root'),
  'with names in upper case': ONE.replace(/content-disposition: form-data|filename/gi, (text) => text.toUpperCase()),
  'with a header that means nothing here': ONE.replace('--b\r\n', '--b\r\nContent-Transfer-Encoding: binary\r\n'),
  'with a field named like a file name': ONE.replace('name="files"', 'name="x; filename=\\"targets\\""'),
}
for (const [name, body] of Object.entries(GOOD)) {
  await t.test(`reads a part ${name}`, async (t) => {
    t.strictSame(
      read(body).map(({ filename, bytes }) => [filename, bytes.toString()]),
      [['root', '{}']],
    )
  })
}

await t.test('what divides the parts may stand in them where no line begins with it', async (t) => {
  const content = '--b\n--b-- \r\n--'
  t.equal(
    read(lines('--b', named('root'), '', content, '--b--'))
      .at(0)
      ?.bytes.toString(),
    content,
  )
})

await t.test('a part may be empty', async (t) => {
  t.equal(read(lines('--b', named('root'), '', '', '--b--')).at(0)?.bytes.length, 0)
})

await t.test('the type of a part comes without its parameters', async (t) => {
  const typed = ONE.replace('\r\n\r\n', '\r\nContent-Type: Application/JSON; charset=utf-8\r\n\r\n')
  t.equal(read(typed).at(0)?.type, 'application/json')
  t.equal(read(ONE).at(0)?.type, '')
})

const BROKEN: Record<string, string> = {
  'with nothing in it': '',
  'without what divides parts': '{}',
  'divided by something else': ONE.replaceAll('--b', '--c'),
  'that ends within its headers': lines('--b', named('root')),
  'that ends within a part': ONE.slice(0, ONE.indexOf('--b--')),
  'divided by line ends that are none': ONE.replaceAll('\r\n', '\n'),
  'with what divides parts at the beginning of a longer line': ONE.replace('{}', '{}\r\n--begin'),
  'with a part without headers': lines('--b', '', '{}', '--b--'),
  'with a part without a file name': ONE.replace('; filename="root"', ''),
  'with a file name in the form that forms have not': ONE.replace('filename="root"', "filename*=UTF-8''root"),
  'with a file name that does not end': ONE.replace('"root"', '"root'),
  'with a part that is an attachment': ONE.replace('form-data', 'attachment'),
  'with two dispositions': ONE.replace('\r\n', `\r\n${named('targets')}\r\n`),
  'with a header without a name': ONE.replace('--b\r\n', '--b\r\n: x\r\n'),
  'with a header that is none': ONE.replace('--b\r\n', '--b\r\nhello\r\n'),
  'with endless headers': ONE.replace('--b\r\n', `--b\r\nx: ${'x'.repeat(4096)}\r\n`),
  'with more parts than may be': lines(
    ...Array.from({ length: 11 }, () => ['--b', named('root'), '', '{}']).flat(),
    '--b--',
  ),
}
for (const [name, body] of Object.entries(BROKEN)) {
  await t.test(`refuses a body ${name}`, async (t) => {
    t.throws(() => read(body), { name: 'Problem', code: 'MALFORMED_UPLOAD' })
  })
}

await t.test('a boundary is told by the type', async (t) => {
  t.equal(boundaryOf('multipart/form-data; boundary=b'), 'b')
  t.equal(boundaryOf('Multipart/Form-Data; charset=utf-8; Boundary="a b"'), 'a b')
  for (const type of [
    '',
    '; boundary=',
    `; boundary=${'x'.repeat(71)}`,
    '; boundary="b',
    '; boundary=b c',
    '; xboundary=b',
  ]) {
    t.throws(() => boundaryOf(`multipart/form-data${type}`), { code: 'MALFORMED_UPLOAD' }, type)
  }
  t.throws(() => boundaryOf('multipart/mixed; boundary=b'), { code: 'MALFORMED_UPLOAD' })
})

await t.test('whatever files Node itself writes come out as they went in', async (t) => {
  const files = fc.uniqueArray(fc.tuple(fc.stringMatching(/^[a-z/.]{1,9}$/), fc.uint8Array({ maxLength: 300 })), {
    selector: ([name]) => name,
    minLength: 1,
    maxLength: 5,
  })
  await fc.assert(
    fc.asyncProperty(files, async (list) => {
      const form = new FormData()
      for (const [name, bytes] of list) form.append('files', new Blob([new Uint8Array(bytes)]), name)
      const written = new Response(form)
      const boundary = boundaryOf(written.headers.get('content-type') ?? '')
      const parts = readParts(Buffer.from(await written.arrayBuffer()), boundary, 5)
      t.strictSame(
        parts.map(({ filename, bytes }) => [filename, [...bytes]]),
        list.map(([name, bytes]) => [name, [...bytes]]),
      )
    }),
    { numRuns: 50 },
  )
})

await t.test('no bytes make it throw anything but its refusal', async (t) => {
  const piece = fc.oneof(
    fc.constantFrom('--b', '--b--', '\r\n', '\r\n--b', named('root'), ':', ';', '"', 'filename=', ' '),
    fc.string({ maxLength: 5 }),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      try {
        for (const { bytes } of read(pieces.join(''))) t.ok(bytes.length >= 0)
      } catch (error) {
        t.match(error, { name: 'Problem', code: 'MALFORMED_UPLOAD' })
      }
    }),
    { numRuns: 500 },
  )
})
