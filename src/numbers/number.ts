import Type, { type Static } from 'typebox'

/** A number of the inventory as the API and the bootstrap file give it. */
export const NumberInput = Type.Object(
  {
    number: Type.String({ minLength: 2, maxLength: 40, description: 'In any spelling; stored as E.164.' }),
    trunkId: Type.String({ minLength: 1, maxLength: 64, description: 'The trunk that it lives on.' }),
    action: Type.Union([Type.Literal('bot'), Type.Literal('reject')], { description: 'What a call to it does.' }),
    botId: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: "For the action 'bot'." })),
    record: Type.Optional(Type.Boolean({ description: 'Record its calls.' })),
  },
  { additionalProperties: false },
)
export type NumberInput = Static<typeof NumberInput>
