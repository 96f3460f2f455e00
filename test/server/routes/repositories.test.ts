import t from 'tap'
import { openTestServer, type TestServer } from '../support/app.ts'
import { newOwner, signBoth } from '../support/party.ts'

type Page = { readonly repositories: readonly { readonly name: string }[]; readonly next?: string }

async function create(server: TestServer, repository: string): Promise<void> {
  const { online } = server.services.deps
  const keys = {
    timestamp: await online.offer(repository, 'timestamp'),
    snapshot: await online.offer(repository, 'snapshot'),
  }
  const headers = { authorization: `Bearer ${await server.token({})}` }
  const answer = await server.publish(await signBoth(await newOwner(keys, server.clock.now)), { repository, headers })
  if (answer.statusCode !== 200) throw new Error(answer.body)
}

const OURS = ['b.example.com/team/one', 'b.example.com/team/two', 'd.example.com/team/three']
const THEIRS = ['a.example.com/secret', 'c.example.com/secret', 'e.example.com/secret']

await t.test('an administrator of a part is told no other name, not even as the place to go on from', async (t) => {
  const server = await openTestServer(t, { open: false })
  for (const name of [...THEIRS, ...OURS]) await create(server, name)
  const token = await server.token({ actions: ['admin'], repository: '*/team/*' })
  const seen: string[] = []
  let next: string | undefined = ''
  while (next !== undefined) {
    const answer = await server.get(`/v1/repositories?limit=2&after=${next}`, { authorization: `Bearer ${token}` })
    t.notOk(answer.body.includes('secret'), answer.body)
    const page: Page = answer.json<Page>()
    seen.push(...page.repositories.map(({ name }) => name))
    next = page.next
  }
  t.same(seen, OURS)
})
