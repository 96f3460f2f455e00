import type { lookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import t from 'tap'
import { lookupOutside } from '../../../client/registry/lookup.ts'
import { parseImage } from '../../../client/registry/reference.ts'
import { openRegistry } from '../../../client/registry/registry.ts'
import { openHttp } from '../../../client/http.ts'

const METADATA = { address: '169.254.169.254', family: 4 }
const PUBLIC = { address: '203.0.113.1', family: 4 }
const PUBLIC6 = { address: '2001:db8::1', family: 6 }

/** A resolver that knows one answer, as a name server under somebody else's control would have it. */
function resolver(...addresses: { address: string; family: number }[]): typeof lookup {
  const resolve = (_name: string, _options: object, callback: (error: null, all: typeof addresses) => void) =>
    callback(null, addresses)
  return resolve as typeof lookup
}

function ask(lookup: LookupFunction, all: boolean): Promise<unknown> {
  return new Promise((resolve, reject) => {
    lookup('name.example', { all }, (error, address) => (error === null ? resolve(address) : reject(error)))
  })
}

await t.test('a name that leads to a metadata service leads nowhere', async (t) => {
  const only = lookupOutside(
    resolver(METADATA, { address: 'fe80::1%eth0', family: 6 }, { address: '::ffff:169.254.1.1', family: 6 }),
  )
  await t.rejects(ask(only, true), { code: 'ELINKLOCAL' })
  await t.rejects(ask(only, false), { code: 'ELINKLOCAL' })
})

await t.test('other addresses of such a name are used', async (t) => {
  const mixed = lookupOutside(resolver(METADATA, PUBLIC, PUBLIC6))
  t.same(await ask(mixed, true), [PUBLIC, PUBLIC6])
  t.equal(await ask(mixed, false), PUBLIC.address)
})

await t.test('a name that does not exist is said not to exist', async (t) => {
  const failing = (_name: string, _options: object, callback: (error: Error) => void) => {
    callback(Object.assign(new Error('none'), { code: 'ENOTFOUND' }))
  }
  await t.rejects(ask(lookupOutside(failing as typeof lookup), true), { code: 'ENOTFOUND' })
})

await t.test('a registry under such a name is not asked', async (t) => {
  const http = openHttp({ lookup: lookupOutside(resolver(METADATA)) })
  const registry = openRegistry({ http })
  t.teardown(() => registry.close())
  const resolved = registry.resolveTag(parseImage('rebound.example/app:1'))
  await t.rejects(resolved, { code: 'UNREACHABLE', detail: { why: 'its address is link-local' } })
})
