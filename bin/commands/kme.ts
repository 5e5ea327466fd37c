import { defineGroup } from '../command.ts'
import { doctorCommand } from './kme-doctor.ts'
import { frontCommand } from './kme-front.ts'
import { openapiCommand } from './kme-openapi.ts'

/** `qkd kme`: KMEs of any make. */
export const kmeCommands = defineGroup('kme', 'Look at a KME of any make, or stand in front of it', [
  doctorCommand,
  frontCommand,
  openapiCommand,
])
