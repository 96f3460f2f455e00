import { readFileSync } from 'node:fs'
import t from 'tap'
import { Validator } from '@seriousme/openapi-schema-validator'
import { parse } from 'yaml'
import { openApiYaml } from '../../scripts/openapi.ts'
import { routesOf } from '../../server/app.ts'
import { STATUS } from '../../server/problem.ts'
import { openTestServer } from './support/app.ts'

type Operation = {
  readonly operationId: string
  readonly responses: Record<string, { readonly content?: Record<string, { readonly schema: object }> }>
  readonly parameters?: readonly { readonly name: string }[]
  readonly requestBody?: object
}
type Document = { readonly paths: Record<string, Record<string, Operation>> }

const written = readFileSync(new URL('../../openapi.yaml', import.meta.url), 'utf8')
const document = parse(written) as Document

await t.test('openapi.yaml is what `npm run openapi` writes', async (t) => {
  t.equal(written, await openApiYaml())
})

await t.test('it is valid OpenAPI', async (t) => {
  const { valid, errors } = await new Validator().validate(written)
  t.ok(valid, JSON.stringify(errors))
})

await t.test('routes, statuses, bodies and parameters are the same on both sides', async (t) => {
  const server = await openTestServer(t)
  const documented = new Set(
    Object.entries(document.paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    ),
  )
  for (const { url, method, schema } of routesOf(server.app)) {
    const path = url.replaceAll(/:(\w+)/g, '{$1}')
    for (const each of [method].flat()) {
      const name = `${each} ${path}`
      t.ok(documented.delete(name), `${name} is documented`)
      const operation = document.paths[path]?.[each.toLowerCase()]
      t.same(Object.keys(operation?.responses ?? {}), Object.keys(schema?.response ?? {}), `${name}: statuses`)
      const names = [schema?.params, schema?.querystring, schema?.headers].flatMap((part) =>
        Object.keys((part as { properties?: object } | undefined)?.properties ?? {}),
      )
      t.same(operation?.parameters?.map((parameter) => parameter.name) ?? [], names, `${name}: parameters`)
      t.equal(
        operation?.requestBody !== undefined,
        schema?.body !== undefined || (each === 'POST' && /\/(?:tuf\/|_import|proposals)$/.test(url)),
        `${name}: body`,
      )
    }
  }
  t.same([...documented], [], 'nothing is documented that is not there')
})

await t.test('every operation has its own id, a summary and all refusals that can meet any request', async (t) => {
  const ids = new Set<string>()
  for (const operations of Object.values(document.paths)) {
    for (const operation of Object.values(operations)) {
      t.notOk(ids.has(operation.operationId), operation.operationId)
      ids.add(operation.operationId)
      for (const status of ['400', '500', '503'])
        t.ok(operation.responses[status], `${operation.operationId} ${status}`)
    }
  }
})

await t.test('what is sent in a body that nobody asked for is refused as documented', async (t) => {
  const server = await openTestServer(t)
  const bodies: readonly [string, string, number][] = [
    ['text/plain', 'x', 415],
    ['application/json', `"${'x'.repeat(70_000)}"`, 413],
    ['application/json', '{', 400],
  ]
  for (const { url, method } of routesOf(server.app)) {
    for (const each of [method].flat()) {
      if (each === 'GET' || each === 'HEAD' || (each === 'POST' && url.endsWith('/tuf/'))) continue
      for (const [type, payload, status] of bodies) {
        const path = url
          .replace(':repository', 'a.example.com')
          .replace(':token', 'x')
          .replace(':proposal', '0'.repeat(32))
        // The test server holds every answer against the route's schema.
        const answer = await server.app.inject({
          method: each as 'POST',
          url: path,
          payload,
          headers: { 'content-type': type },
        })
        t.equal(answer.statusCode, status, `${each} ${path} ${type}`)
        t.ok(
          document.paths[url.replaceAll(/:(\w+)/g, '{$1}')]?.[each.toLowerCase()]?.responses[status],
          `${each} ${url}`,
        )
      }
    }
  }
})

await t.test('every code is declared by a route, except those that no route sends', async (t) => {
  for (const code of Object.keys(STATUS)) {
    // Headers too large never become a request.
    if (code !== 'HEADERS_TOO_LARGE') t.match(written, new RegExp(`\\b${code}\\b`), code)
  }
})
