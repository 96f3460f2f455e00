/**
 * Requests are held against the schemas of their route, and answers are written by them, as Fastify does it; but each
 * schema is compiled when it is first needed, once in a process. Fastify compiles all of them at every start (ADR 0042).
 */
import { AjvCompiler } from '@fastify/ajv-compiler'
import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'
import type { FastifyInstance } from 'fastify'
import type { FastifyRouteSchemaDef, FastifyValidationResult } from 'fastify/types/schema.js'

type Route = FastifyRouteSchemaDef<object>

/** What came is judged as it came: no text is taken for a number, nothing is left out or put in. */
const STRICT = { coerceTypes: false, removeAdditional: false, useDefaults: false } as const

/** That a schema is one takes four times as long as compiling it, and is the test's to find out. */
const compileValidator = AjvCompiler()({}, { customOptions: { ...STRICT, validateSchema: false } })
const compileSerializer = SerializerSelector()()

const validatorOf = perSchema(({ schema }) => compileValidator({ schema }))
const serializerOf = perSchema(({ httpStatus = 'default', ...route }) => compileSerializer({ ...route, httpStatus }))

/**
 * A schema that cannot be compiled fails the requests that need it and not the start: a test has Fastify compile those
 * of every route. Fields in a schema of headers are in lower case, which Fastify sees to for its own compiler only.
 */
export function useLateSchemas(app: FastifyInstance): void {
  app.setValidatorCompiler<object>((route) => {
    const validate: FastifyValidationResult = (data: unknown) => {
      const judge = validatorOf(route)
      const valid = judge(data) === true
      validate.errors = judge.errors ?? null
      return valid
    }
    return validate
  })
  app.setSerializerCompiler<object>((route) => (answer: unknown) => serializerOf(route)(answer))
}

/** Routes share schemas, and so do the applications of one process. */
function perSchema<C>(compile: (route: Route) => C): (route: Route) => C {
  const compiled = new WeakMap<object, C>()
  return (route) => {
    const known = compiled.get(route.schema)
    if (known !== undefined) return known
    const made = compile(route)
    compiled.set(route.schema, made)
    return made
  }
}
