/** Loaded into each test file, which gets the one file that `lean-tap.mjs` made of tap where it imports that. */
import { registerHooks } from 'node:module'

const MODULES = new URL('../node_modules/', import.meta.url)
const url = new URL('.cache/node_modules/@tapjs/tap.mjs', MODULES).href
const tap = { url, format: 'module', shortCircuit: true }

registerHooks({ resolve: (name, context, next) => (name === 'tap' ? tap : next(name, context)) })
