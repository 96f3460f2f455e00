/** Schemas are compiled late, and judge as those do that Fastify compiles at the start. */
import { fastify } from 'fastify'
import type { FastifyInstance, FastifySchema, InjectOptions } from 'fastify'
import t from 'tap'
import { routesOf } from '../../server/app.ts'
import { useLateSchemas } from '../../server/late-schemas.ts'
import * as signer from '../../server/signer/schemas.ts'
import { openTestServer } from './support/app.ts'

const STRICT = { coerceTypes: false, removeAdditional: false, useDefaults: false } as const
type Routes = readonly { readonly url: string; readonly schema?: FastifySchema | undefined }[]

function eager(): FastifyInstance {
  return fastify({ ajv: { customOptions: STRICT } })
}

function late(): FastifyInstance {
  const app = fastify()
  useLateSchemas(app)
  return app
}

/** With the schemas alone; each answers what it was sent. */
function withRoutes(app: FastifyInstance, routes: Routes): FastifyInstance {
  for (const [index, { url, schema = {} }] of routes.entries()) {
    app.post(`/${index}${url}`, { schema }, ({ body }, reply) => reply.send(body))
  }
  return app
}

async function ready(app: FastifyInstance): Promise<void> {
  await app.ready()
}

const BROKEN: readonly [string, FastifySchema][] = [
  ['a type that there is not', { params: { type: 'objekt' } }],
  ['a word that there is not', { querystring: { type: 'object', require: ['a'] } }],
  ['a pattern that is none', { body: { type: 'string', pattern: '(' } }],
  ['what is no schema', { body: { type: 'object', properties: 'a' } }],
  ['a type of an answer that there is not', { response: { 200: { type: 'objekt' } } }],
]

await t.test('every schema of every route can be compiled', async (t) => {
  const { app } = await openTestServer(t)
  const ofSigner = Object.values(signer).map((schema) => ({ url: '/', schema }))
  const routes: Routes = [...routesOf(app), ...ofSigner]
  t.ok(routes.length > 40, `${routes.length} routes`)
  await t.resolves(ready(withRoutes(eager(), routes)))
  for (const [name, schema] of BROKEN) {
    await t.rejects(ready(withRoutes(eager(), [{ url: '/', schema }])), `it would be seen: ${name}`)
  }
  for (const { url, schema } of routes) {
    const { properties = {}, required = [] } = (schema?.headers ?? {}) as { properties?: object; required?: string[] }
    const names = [...Object.keys(properties), ...required]
    t.same(
      names,
      names.map((name) => name.toLowerCase()),
      `${url}: headers are in lower case`,
    )
  }
})

await t.test('a schema that cannot be compiled fails the requests that need it, and no others', async (t) => {
  const fine = { url: '/', schema: { body: { type: 'object' } } }
  const app = withRoutes(late(), [fine, ...BROKEN.map(([, schema]) => ({ url: '/', schema }))])
  await app.ready()
  t.equal((await app.inject({ method: 'POST', url: '/0/', payload: {} })).statusCode, 200)
  for (const [index, [name]] of BROKEN.entries()) {
    if (name === 'what is no schema') continue // is let through: that it is one is looked at above alone
    for (const time of ['first', 'second']) {
      const { statusCode } = await app.inject({ method: 'POST', url: `/${index + 1}/`, payload: {} })
      t.equal(statusCode, 500, `${name}, at the ${time} request`)
    }
  }
})

const ROUTE: Routes[number] = {
  url: '/:name',
  schema: {
    params: { type: 'object', properties: { name: { type: 'string', maxLength: 3 } } },
    querystring: { type: 'object', additionalProperties: false, properties: { limit: { type: 'integer' } } },
    headers: { type: 'object', properties: { 'if-match': { type: 'string', pattern: '^"a"$' } } },
    body: {
      type: 'object',
      additionalProperties: false,
      required: ['a'],
      properties: { a: { type: 'integer' }, b: { type: 'string', default: 'x' }, c: { type: 'array' } },
    },
    response: { 200: { type: 'object', properties: { a: { type: 'integer' } } } },
  },
}
const REQUESTS: Readonly<Record<string, { readonly status: number; readonly request: InjectOptions }>> = {
  'what fits, of which the answer has what it declares': {
    status: 200,
    request: { url: '/0/abc', payload: { a: 1, b: 'y' } },
  },
  'a parameter that is too long': { status: 400, request: { url: '/0/abcd', payload: { a: 1 } } },
  'a number in a query, which is text': { status: 400, request: { url: '/0/abc?limit=1', payload: { a: 1 } } },
  'a query with more in it': { status: 400, request: { url: '/0/abc?more=1', payload: { a: 1 } } },
  'a header that does not fit': {
    status: 400,
    request: { url: '/0/abc', payload: { a: 1 }, headers: { 'If-Match': 'b' } },
  },
  'a header that fits': { status: 200, request: { url: '/0/abc', payload: { a: 1 }, headers: { 'If-Match': '"a"' } } },
  'text for a number': { status: 400, request: { url: '/0/abc', payload: { a: '1' } } },
  'one for an array': { status: 400, request: { url: '/0/abc', payload: { a: 1, c: 1 } } },
  'a member too many': { status: 400, request: { url: '/0/abc', payload: { a: 1, more: 1 } } },
  'no member': { status: 400, request: { url: '/0/abc', payload: {} } },
  'no body': { status: 400, request: { url: '/0/abc' } },
}

await t.test('requests and answers are held against their schemas as Fastify does it, strictly', async (t) => {
  const [theirs, ours] = [withRoutes(eager(), [ROUTE]), withRoutes(late(), [ROUTE])]
  for (const [name, { status, request }] of Object.entries(REQUESTS)) {
    const [expected, got] = [
      await theirs.inject({ method: 'POST', ...request }),
      await ours.inject({ method: 'POST', ...request }),
    ]
    t.equal(got.statusCode, status, name)
    t.equal(expected.statusCode, status, `${name}: theirs`)
    t.equal(got.body, expected.body, `${name}: in the same words`)
  }
})
