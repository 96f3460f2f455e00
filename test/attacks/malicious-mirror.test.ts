/** A mirror that lies and is asked first: it costs requests and decides nothing, as long as an honest one is listed too. */
import { createServer } from 'node:http'
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { openLab } from '../support/attack-lab.ts'
import { sha256 } from '../support/images.ts'
import { Simulator, targetOf } from '../support/simulator.ts'

const IMPATIENT = { idle: 500, grace: 2000, rate: 1024 }
const thief = new Simulator()
thief.now = Date.now()
thief.publishRoot()
thief.sign({ '1.0': targetOf('evil') })

type Lie = {
  readonly answer: (file: string, response: ServerResponse, old: ReadonlyMap<string, Uint8Array>) => void
  readonly alone: string
}
const LIES: Record<string, Lie> = {
  'serves a repository of its own': {
    answer: (file, response) => void response.writeHead(thief.files.has(file) ? 200 : 404).end(thief.files.get(file)),
    alone: 'THRESHOLD',
  },
  'serves what was true yesterday': {
    answer: (file, response, old) => void response.writeHead(old.has(file) ? 200 : 404).end(old.get(file)),
    alone: 'ROLLBACK',
  },
  'has nothing': { answer: (_, response) => void response.writeHead(404).end(), alone: 'NO_TRUST_DATA' },
  'fails always': { answer: (_, response) => void response.writeHead(500).end(), alone: 'SERVER_ERROR' },
  'sends nonsense': { answer: (_, response) => void response.end('<html>'), alone: 'MALFORMED' },
  'hangs up': { answer: (_, response) => void response.destroy(), alone: 'NETWORK' },
  'sends without an end': {
    answer: (_, response) => void response.write(Buffer.alloc(2_000_000, ' ')),
    alone: 'TOO_LARGE',
  },
}

for (const [name, { answer, alone }] of Object.entries(LIES)) {
  await t.test(`a mirror that ${name} is passed over, and alone it is refused`, async (t) => {
    const lab = await openLab()
    t.teardown(lab.close)
    const old = new Map(lab.simulator.files)
    const mirror = createServer((request, response) => {
      response.on('error', () => response.destroy())
      answer((request.url ?? '').split('/').at(-1) ?? '', response, old)
    })
    await new Promise<void>((resolve) => mirror.listen(0, '127.0.0.1', resolve))
    t.teardown(() => {
      mirror.closeAllConnections()
      mirror.close()
    })
    const bad = `http://127.0.0.1:${(mirror.address() as AddressInfo).port}/`
    const good = `${lab.url}/v2/app/_trust/tuf/`
    const ask = (...metadataUrl: readonly string[]) => lab.library({ metadataUrl, patience: IMPATIENT })
    lab.simulator.sign({ '1.0': targetOf('two') })
    await ask(good)
    lab.simulator.publishRoot()
    lab.simulator.sign({ '1.0': targetOf('three') })
    t.equal(await ask(bad, good), sha256(Buffer.from('three')), 'the honest one is heard')
    const kept = await lab.kept('library')
    await t.rejects(ask(bad), { code: alone })
    t.same(await lab.kept('library'), kept, 'nothing of the liar is stored')
  })
}
