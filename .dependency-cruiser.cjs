/**
 * The import arrows: tuf <- keys <- server | client. What server and client share is openapi.yaml.
 * @type {import('dependency-cruiser').IConfiguration}
 */
module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'A cycle means that two files are one. Type-only imports count too.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'tuf-imports-nothing',
      comment: 'The trust rules are pure: no package, no built-in, nothing outside tuf/ (ADR 0001).',
      severity: 'error',
      from: { path: '^tuf/' },
      to: { pathNot: '^tuf/' },
    },
    {
      name: 'keys-imports-only-the-model',
      comment:
        'keys/ knows what a key and a suite are, and the codec it derives key ids with; no step of the workflow.',
      severity: 'error',
      from: { path: '^keys/' },
      to: { path: '^(tuf|server|client|test|scripts|bench)/', pathNot: '^tuf/(model/|codec/|errors\\.ts$)' },
    },
    {
      name: 'server-and-client-never-meet',
      comment: 'They share openapi.yaml, nothing else.',
      severity: 'error',
      from: { path: '^(server|client)/' },
      to: { path: '^(server|client)/', pathNot: '^$1/' },
    },
    {
      name: 'programs-import-no-helpers-of-ours',
      comment: 'What is published must not reach into tests, scripts or the benchmark.',
      severity: 'error',
      from: { path: '^(tuf|keys|server|client)/' },
      to: { path: '^(test|scripts|bench|bin)/' },
    },
    {
      name: 'portable-suite-runs-in-a-browser',
      severity: 'error',
      from: { path: '^keys/portable/' },
      to: { path: '^keys/(native|keystore)/' },
    },
    {
      name: 'portable-suite-uses-no-built-in',
      severity: 'error',
      from: { path: '^keys/portable/' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'node-crypto-only-under-keys',
      severity: 'error',
      from: { path: '^(tuf|server|client)/' },
      to: { path: '^(node:)?crypto$' },
    },
    {
      name: 'one-file-knows-sqlite',
      comment: 'Everything else speaks to the storage contract (ADR 0010).',
      severity: 'error',
      from: { path: '^(tuf|keys|server|client)/', pathNot: '^server/storage/sqlite\\.ts$' },
      to: { path: 'node_modules/(@types/)?better-sqlite3' },
    },
    {
      name: 'undici-only-under-client',
      severity: 'error',
      from: { path: '^(tuf|keys|server)/' },
      to: { path: '(^|node_modules/)undici(/|$)' },
    },
    {
      name: 'fastify-only-under-server',
      severity: 'error',
      from: { path: '^(tuf|keys|client)/' },
      to: { path: 'node_modules/(fastify|@fastify|pino|ajv)/' },
    },
    {
      name: 'one-http-client',
      comment:
        'Timeouts, caps and the absence of redirects are settled in client/http.ts (ADR 0012). Who serves is no client.',
      severity: 'error',
      from: { path: '^client/', pathNot: '^client/(http|gateway/listen)\\.ts$' },
      to: { path: '^(node:)?(https?|http2)$', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'nobody-imports-their-own-index',
      severity: 'error',
      from: { path: '^(tuf|client)/', pathNot: '^((tuf|client)/index|client/conformance)\\.ts$' },
      to: { path: '^$1/index\\.ts$' },
    },
    {
      name: 'no-undeclared-package',
      severity: 'error',
      from: { path: '^(tuf|keys|server|client)/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'unknown'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'nothing-unresolved',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    parser: 'swc',
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|test/vectors|\\.tap|\\.cache)/' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
    cache: false,
  },
}
