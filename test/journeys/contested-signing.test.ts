import { cp } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import t from 'tap'
import type { Test } from 'tap'
import { codeOf, documentOf, tagseal } from '../support/cli.ts'
import { buildImage } from '../support/images.ts'
import { serverHere } from '../support/in-process.ts'
import { startProxy } from '../support/proxy.ts'
import { pushImage, whyNoRegistry } from '../support/registry.ts'
import { openTown, pinFrom } from '../support/town.ts'

const skip = (await whyNoRegistry()) ?? false
const A = buildImage({ layers: [{ a: 'a' }] })
const B = buildImage({ layers: [{ b: 'b' }] })

async function releasedTown(t: Test) {
  const town = await openTown({}, tagseal, serverHere)
  t.teardown(town.close)
  const owner = await town.person()
  const [a, b] = [await town.push('a', A), await town.push('b', B)]
  const made = await owner.run(['init', town.repository, '--no-passphrase'])
  t.equal(made.code, 0, made.stderr)
  const proxy = await startProxy(town.server.url)
  t.teardown(proxy.close)
  return { ...town, owner, proxy, a, b, pin: pinFrom(made) }
}

function isPublish({ method, url = '' }: Pick<IncomingMessage, 'method' | 'url'>): boolean {
  return method === 'POST' && url.endsWith('/_trust/tuf/')
}

await t.test('a publish whose acknowledgement is lost is found in place', { skip }, async (t) => {
  const { repository, owner, proxy, a } = await releasedTown(t)
  let dropped = 0
  proxy.drop = (request) => isPublish(request) && dropped++ === 0
  const ran = await owner.run(['sign', `${repository}:x`, '--digest', a.digest, '--server', proxy.url, '--json'])
  t.match([ran.code, ran.stderr, documentOf(ran)], [0, '', { signed: [{ digest: a.digest, published: true }] }])
  t.equal(dropped, 1, 'it was not sent twice')
  const history = await owner.run(['history', `${repository}:x`, '--json'])
  t.equal((documentOf(history) as { entries: unknown[] }).entries.length, 1)
})

await t.test('who signs again within a minute', { skip }, async (t) => {
  const { repository, owner, proxy, a, b, person } = await releasedTown(t)
  const sign = (tag: string, digest = a.digest) =>
    owner.run(['sign', `${repository}:${tag}`, '--digest', digest, '--server', proxy.url, '--json'])
  const rival = await person()
  await cp(owner.home, rival.home, { recursive: true })
  t.equal((await sign('x')).code, 0)

  await t.test('asks the trust server nothing first', async (t) => {
    const before = proxy.seen.length
    t.match(documentOf(await sign('y')), { signed: [{ tag: 'y', published: true }] })
    t.strictSame(
      proxy.seen.slice(before).map((request) => request.replace(/\/v2\/.*_trust\/tuf\//, '')),
      ['POST '],
    )
  })
  await t.test('asks after all where somebody else published meanwhile, and keeps what they signed', async (t) => {
    t.equal((await rival.run(['sign', `${repository}:theirs`, '--digest', b.digest])).code, 0)
    t.match(documentOf(await sign('mine')), { signed: [{ tag: 'mine', published: true }] })
    t.equal((await rival.run(['verify', `${repository}:theirs`])).code, 0)
    t.equal((await rival.run(['verify', `${repository}:mine`])).code, 0)
  })
  await t.test('signs again what somebody else took out meanwhile', async (t) => {
    t.equal((await rival.run(['revoke', `${repository}:mine`])).code, 0)
    t.match(documentOf(await sign('mine')), { signed: [{ tag: 'mine', published: true }] })
    t.equal((await rival.run(['verify', `${repository}:mine`])).code, 0)
  })
  await t.test('does not overwrite what somebody else made of the same tag meanwhile', async (t) => {
    t.equal((await rival.run(['sign', `${repository}:mine`, '--digest', b.digest])).code, 0)
    t.equal(codeOf(await sign('mine', a.digest)), 'TAG_CHANGED')
    t.equal((await sign('mine', a.digest)).code, 0, 'but does when it is told again')
    t.equal((await rival.run(['sign', `${repository}:new`, '--digest', b.digest])).code, 0)
    t.equal(codeOf(await sign('new', a.digest)), 'TAG_CHANGED')
  })
  await t.test('follows a root that was replaced meanwhile', async (t) => {
    t.equal((await sign('z')).code, 0)
    t.equal((await rival.run(['rotate', repository, 'timestamp'])).code, 0)
    t.match(documentOf(await sign('after')), { signed: [{ tag: 'after', published: true }] })
    t.equal((await rival.run(['verify', `${repository}:after`])).code, 0)
  })
})

await t.test('a server that never answers is given up, and nothing was published', { skip }, async (t) => {
  const { repository, owner, proxy, a } = await releasedTown(t)
  proxy.before = async (request) => {
    if (isPublish(request)) throw new Error('the connection breaks here')
  }
  const ran = await owner.run(['sign', `${repository}:x`, '--digest', a.digest, '--server', proxy.url])
  t.same([ran.code, codeOf(ran)], [3, 'NETWORK'])
  t.equal((await owner.run(['list', repository])).stdout, '')
})

await t.test('another tag that somebody signs meanwhile is kept', { skip }, async (t) => {
  const { repository, owner, proxy, a, b } = await releasedTown(t)
  let once = true
  proxy.before = async (request) => {
    if (!isPublish(request) || !once) return
    once = false
    t.equal((await owner.run(['sign', `${repository}:y`, '--digest', b.digest])).code, 0)
  }
  const ran = await owner.run(['sign', `${repository}:x`, '--digest', a.digest, '--server', proxy.url])
  t.same([ran.code, ran.stderr], [0, ''])
  const list = await owner.run(['list', repository, '--json'])
  t.match(documentOf(list), {
    tags: [
      { tag: 'x', digest: a.digest },
      { tag: 'y', digest: b.digest },
    ],
  })
})

await t.test(
  'the same tag that somebody signs meanwhile for another digest is not overwritten',
  { skip },
  async (t) => {
    const { repository, owner, proxy, a, b } = await releasedTown(t)
    let once = true
    proxy.before = async (request) => {
      if (!isPublish(request) || !once) return
      once = false
      t.equal((await owner.run(['sign', `${repository}:x`, '--digest', b.digest])).code, 0)
    }
    const ran = await owner.run(['sign', `${repository}:x`, '--digest', a.digest, '--server', proxy.url])
    t.same([ran.code, codeOf(ran)], [1, 'TAG_CHANGED'])
    t.equal((await owner.run(['verify', `${repository}:x`])).stdout, `${repository}@${b.digest}\n`)

    await t.test('and is, when it is signed again', async (t) => {
      t.equal((await owner.run(['sign', `${repository}:x`, '--digest', a.digest])).code, 0)
      t.equal((await owner.run(['verify', `${repository}:x`])).stdout, `${repository}@${a.digest}\n`)
    })
  },
)

await t.test('a tag that moves in the registry while it is being signed is not signed', { skip }, async (t) => {
  const town = await openTown({}, tagseal, serverHere)
  t.teardown(town.close)
  const proxy = await startProxy(town.registry.url)
  t.teardown(proxy.close)
  const [owner, repository] = [await town.person(), `${proxy.host}/team/app`]
  await town.push('1.0', A)
  t.equal((await owner.run(['init', repository, '--no-passphrase'])).code, 0)
  let asked = 0
  proxy.before = async ({ url = '' }) => {
    if (url.endsWith('/manifests/1.0') && ++asked === 2) await pushImage(town.registry, 'team/app', '1.0', B)
  }
  const ran = await owner.run(['sign', `${repository}:1.0`])
  t.same([ran.code, codeOf(ran)], [1, 'TAG_MOVED'])
  t.equal((await owner.run(['list', repository])).stdout, '', 'nothing was published')

  await t.test('but a digest that was named is, whatever the tag says', async (t) => {
    const named = await owner.run(['sign', `${repository}:1.0`, '--digest', A.manifest.digest])
    t.equal(named.code, 0, named.stderr)
    t.equal((await owner.run(['verify', `${repository}:1.0`])).stdout, `${repository}@${A.manifest.digest}\n`)
  })
})

await t.test('a layer that the registry does not have keeps an image from being signed', { skip }, async (t) => {
  const { repository, owner, registry } = await releasedTown(t)
  const [layer] = A.layers
  await fetch(`${registry.url}/v2/team/app/blobs/${layer?.digest}`, { method: 'DELETE' })
  const ran = await owner.run(['sign', `${repository}:a`])
  t.same([ran.code, codeOf(ran)], [1, 'UNKNOWN_BLOB'])
})
