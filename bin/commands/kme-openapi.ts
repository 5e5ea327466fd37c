import { etsi014OpenApi } from '../../lib/index.ts'
import { defineCommand } from '../command.ts'
import { print, printJson } from '../terminal.ts'

/** `qkd kme openapi`. */
export const openapiCommand = defineCommand({
  command: 'openapi',
  describe: 'Print what the ETSI GS QKD 014 server of a site serves, as an OpenAPI 3.1 document in JSON',
  builder: yargs => yargs.example('$0 kme openapi > etsi014.json', 'for a generator of clients, or a viewer'),
  handler: ({ json }) =>
    json ? printJson(etsi014OpenApi) : print(`${JSON.stringify(etsi014OpenApi, undefined, 2)}\n`),
})
