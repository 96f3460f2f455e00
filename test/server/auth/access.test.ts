import t from 'tap'
import { grants, grantsCatalogue, parseScopes } from '../../../server/auth/access.ts'
import type { Access } from '../../../server/auth/access.ts'
import { parseServices } from '../../../server/auth/services.ts'

const repository = (name: string, ...actions: string[]): Access => ({ type: 'repository', name, actions })
const SCOPES: Record<string, { texts: readonly string[]; parsed: readonly Access[] | undefined }> = {
  'a name with a port': {
    texts: ['repository:127.0.0.1:5000/team/app:push,pull'],
    parsed: [repository('127.0.0.1:5000/team/app', 'push', 'pull')],
  },
  'several, in one text and in many': {
    texts: ['repository:a/b:pull repository:a/c:*', 'registry:catalog:*'],
    parsed: [repository('a/b', 'pull'), repository('a/c', '*'), { type: 'registry', name: 'catalog', actions: ['*'] }],
  },
  'one thing twice': {
    texts: ['repository:a/b:pull', 'repository:a/b:push,pull'],
    parsed: [repository('a/b', 'pull', 'push')],
  },
  'a class': {
    texts: ['repository(plugin):a/b:pull'],
    parsed: [{ type: 'repository(plugin)', name: 'a/b', actions: ['pull'] }],
  },
  none: { texts: ['', '  '], parsed: [] },
  'no actions': { texts: ['repository:a/b:'], parsed: undefined },
  'no name': { texts: ['repository::pull'], parsed: undefined },
  'no colon': { texts: ['repository'], parsed: undefined },
  'an action in capitals': { texts: ['repository:a/b:Pull'], parsed: undefined },
  'a line break': { texts: ['repository:a/b:pull\n'], parsed: undefined },
  'too many': { texts: Array.from({ length: 33 }, (_, i) => `repository:a/${i}:pull`), parsed: undefined },
  'too much': { texts: [`repository:${'a'.repeat(4097)}:pull`], parsed: undefined },
}
for (const [name, { texts, parsed }] of Object.entries(SCOPES)) {
  await t.test(`${parsed === undefined ? 'refuses' : 'reads'} as scopes ${name}`, async (t) => {
    t.same(parseScopes(texts), parsed)
  })
}

await t.test('a grant is for its words and for the very name', async (t) => {
  const REPO = 'registry.example.com/team/app'
  const may = (...words: string[]) =>
    (['pull', 'push', 'admin'] as const).filter((action) => grants([repository(REPO, ...words)], action, REPO))
  t.same(may('pull'), ['pull'])
  t.same(may('push'), ['pull', 'push'])
  t.same(may('*'), ['pull', 'push', 'admin'])
  t.same(may('admin', 'delete', '**', 'constructor'), [])
  for (const near of [`${REPO}2`, `${REPO}/x`, 'registry.example.com/team', REPO.toUpperCase(), `${REPO} `, '*', '']) {
    t.notOk(grants([repository(near, '*')], 'pull', REPO), near)
  }
  t.notOk(grants([{ type: 'registry', name: REPO, actions: ['*'] }], 'pull', REPO))
  t.notOk(grantsCatalogue([repository('catalog', '*')]))
})

const SERVICES: Record<string, ReturnType<typeof parseServices>> = {
  '': [],
  'notary-peers, registry=registry.example.com:5000': [
    { name: 'notary-peers' },
    { name: 'registry', host: 'registry.example.com:5000' },
  ],
  'a"b': undefined,
  'a b': undefined,
  'registry=': undefined,
  'registry=a/b': undefined,
}
for (const [text, services] of Object.entries(SERVICES)) {
  await t.test(`reads services from ${JSON.stringify(text)}`, async (t) => t.same(parseServices(text), services))
}
