import type { RouteOptions } from 'fastify'
import { STATUS } from './problem.ts'
import { NOTARY_REFUSAL } from './notary-problem.ts'
import { problemSchema } from './routes/schema.ts'

/** What a route's schema says beyond what Fastify itself reads. */
type Described = {
  readonly operationId?: string
  readonly summary?: string
  readonly description?: string
  readonly tags?: readonly string[]
  readonly security?: readonly object[]
  readonly consumes?: readonly string[]
  readonly produces?: readonly string[]
  readonly params?: Fields
  readonly querystring?: Fields
  readonly headers?: Fields
  readonly body?: object
  readonly response?: Readonly<Record<string, Response>>
}
type Fields = {
  readonly properties?: Readonly<Record<string, { readonly description?: string }>>
  readonly required?: readonly string[]
}
type Response = { readonly description?: string; readonly type?: unknown; readonly properties?: object }

const TAGS = [
  { name: 'trust', description: 'Signed metadata, as clients fetch and publish it.' },
  { name: 'repositories', description: 'What is signed, and what was.' },
  { name: 'tokens', description: 'Who may publish, read and administer.' },
  { name: 'access', description: 'Access tokens, as docker and notary ask for them.' },
  { name: 'operation', description: 'For those who run the server.' },
]

/**
 * The OpenAPI document of these routes. `openapi.yaml` is this, printed; so what is documented is what requests and
 * answers are really held against.
 */
export function openApiDocument(routes: readonly RouteOptions[], version: string): Record<string, unknown> {
  const paths = new Map<string, Map<string, object>>()
  for (const { url, method, schema } of routes) {
    const path = url.replaceAll(/:([A-Za-z]+)/g, '{$1}')
    const operations = paths.get(path) ?? new Map<string, object>()
    paths.set(path, operations)
    for (const each of [method].flat()) operations.set(each.toLowerCase(), operationOf(path, each, described(schema)))
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'tagseal-server',
      version,
      description:
        'Serves the signed metadata (TUF 1.0) that says which digest an image tag means. Every answer has `x-request-id`; every refusal has the body `{"errors":[{"code","message","detail"}]}`.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: 'http://127.0.0.1:4480', description: 'Where a server listens that was told nothing else.' }],
    tags: TAGS,
    components: {
      schemas: { Problem: problemSchema(Object.keys(STATUS)), NotaryProblem: NOTARY_REFUSAL },
      headers: {
        RequestId: { description: "The request's id, as the log has it.", schema: { type: 'string' } },
      },
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description: 'Made by `tagseal-server token create`, or an access token from `/token`.',
        },
        basic: { type: 'http', scheme: 'basic', description: 'Any user name, and a token as the password.' },
      },
    },
    paths: Object.fromEntries([...paths].map(([path, operations]) => [path, Object.fromEntries(operations)])),
  }
}

function described(schema: object | undefined): Described {
  return schema !== undefined && isDescribed(schema) ? schema : {}
}

/** Fastify's type for schemas says of their parts that they are unknown; ours are what `Described` says. */
function isDescribed(schema: object): schema is Described {
  return 'operationId' in schema && 'response' in schema
}

function operationOf(path: string, method: string, schema: Described): object {
  const { operationId = '', summary, description, tags, security } = schema
  const parameters = [
    ...fieldsOf('path', schema.params),
    ...fieldsOf('query', schema.querystring),
    ...fieldsOf('header', schema.headers),
  ]
  const body = bodyOf(schema)
  return {
    operationId: method === 'HEAD' ? `${operationId}Head` : operationId,
    ...(tags === undefined ? {} : { tags }),
    ...(summary === undefined ? {} : { summary: method === 'HEAD' ? `The headers of ${operationId}.` : summary }),
    ...(description === undefined || method === 'HEAD' ? {} : { description }),
    ...(security === undefined ? {} : { security }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: body }),
    responses: responsesOf(path, method, schema),
  }
}

function fieldsOf(where: 'path' | 'query' | 'header', fields: Fields | undefined): object[] {
  return Object.entries(fields?.properties ?? {}).map(([name, { description, ...schema }]) => ({
    name,
    in: where,
    required: where === 'path' || fields?.required?.includes(name) === true,
    ...(description === undefined ? {} : { description }),
    schema,
  }))
}

/** Multipart bodies are read by their route, so no schema of Fastify's describes them. */
function bodyOf({ body, consumes }: Described): object | undefined {
  if (body !== undefined) return { required: true, content: contentOf(consumes ?? ['application/json'], body) }
  if (consumes === undefined) return undefined
  const file = { type: 'string', contentMediaType: 'application/json' }
  const schema = { type: 'object', required: ['files'], properties: { files: { type: 'array', items: file } } }
  return { required: true, content: contentOf(consumes, schema) }
}

function contentOf(types: readonly string[], schema: object): object {
  return Object.fromEntries(types.map((type) => [type, { schema }]))
}

function responsesOf(path: string, method: string, { response = {}, produces }: Described): object {
  return Object.fromEntries(
    Object.entries(response).map(([status, { description, ...schema }]) => {
      const [type] = status.startsWith('2') ? (produces ?? ['application/json']) : ['application/json']
      const bodiless = schema.type === 'null' || method === 'HEAD'
      const shown = isProblem(schema) ? refusalOn(path) : schema
      const content = bodiless ? {} : { content: { [type ?? 'application/json']: { schema: shown } } }
      return [status, { description: description ?? '', headers: HEADERS, ...content }]
    }),
  )
}

function refusalOn(path: string): object {
  const problem = { $ref: '#/components/schemas/Problem' }
  return path.includes('/_trust/') ? { anyOf: [problem, { $ref: '#/components/schemas/NotaryProblem' }] } : problem
}

/** Its codes stand in its description. */
function isProblem({ properties }: Response): boolean {
  return properties !== undefined && 'errors' in properties
}

const HEADERS = { 'x-request-id': { $ref: '#/components/headers/RequestId' } }
