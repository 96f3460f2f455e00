/** A body that never ends, one that is longer than it says, and one that unpacks to more than it should. */
import { gzipSync } from 'node:zlib'
import type { ServerResponse } from 'node:http'
import t from 'tap'
import { refuseAll } from '../support/attack-lab.ts'
import type { Lab } from '../support/attack-lab.ts'

const BLANKS = Buffer.alloc(64 * 1024, 0x20)

function endless(response: ServerResponse): boolean {
  response.writeHead(200, { 'content-type': 'application/json' })
  const more = () => {
    while (!response.destroyed && response.write(BLANKS));
  }
  response.on('drain', more)
  more()
  return true
}
const flood = (suffix: string) => (_: unknown, lab: Lab) => {
  lab.interfere = (file, response) => file.endsWith(suffix) && endless(response)
}
const calm = (_: unknown, lab: Lab) => void (lab.interfere = () => false)

await refuseAll(t, {
  'a root without an end': { attack: flood('.root.json'), code: 'TOO_LARGE', after: calm },
  'a timestamp without an end': { attack: flood('timestamp.json'), code: 'TOO_LARGE', libraryOnly: true, after: calm },
  'a snapshot without an end': {
    attack: (simulator, lab) => {
      simulator.release()
      flood('.snapshot.json')(simulator, lab)
    },
    stores: ['timestamp.json'],
    code: 'TOO_LARGE',
    libraryOnly: true,
    after: calm,
  },
  'targets without an end': {
    attack: (simulator, lab) => {
      simulator.publishTargets()
      simulator.release()
      flood('.targets.json')(simulator, lab)
    },
    stores: ['timestamp.json', 'snapshot.json'],
    library: { limits: { targets: 1024 * 1024 } },
    code: 'TOO_LARGE',
    libraryOnly: true,
    after: calm,
  },
  'a good timestamp with blanks after it beyond the limit': {
    attack: (simulator) => {
      const file = simulator.file('timestamp.json')
      simulator.files.set('timestamp.json', Buffer.concat([file, Buffer.alloc(16 * 1024, 0x20)]))
    },
    code: 'TOO_LARGE',
    libraryOnly: true,
  },
  'gzip that unpacks to 200 megabytes': {
    attack: (_, lab) => {
      const bomb = gzipSync(Buffer.alloc(200_000_000, 0x20), { level: 1 })
      lab.interfere = (file, response) => {
        if (file !== 'timestamp.json') return false
        response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': bomb.length }).end(bomb)
        return true
      }
    },
    code: 'BAD_ANSWER', // nothing is unpacked that nobody asked for
    exit: 3,
    after: calm,
  },
  'an encoding that nobody asked for': {
    attack: (_, lab) => {
      lab.interfere = (file, response) => {
        if (file !== 'timestamp.json') return false
        response.writeHead(200, { 'content-encoding': 'br' }).end('x')
        return true
      }
    },
    code: 'BAD_ANSWER',
    libraryOnly: true,
  },
})
