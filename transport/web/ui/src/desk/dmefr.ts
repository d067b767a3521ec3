// What the program says of a record system in English, in French: the ways of working by what and mode, the
// faults by code. A page in French shows these; the exact words of the fault, of dmesentences.ts, stand beside them.

const modes: Record<string, string> = {
  'push/none': 'Le DME n’annonce aucun changement; chacun est trouvé à la lecture suivante.',
  'push/rest-hook': 'Le DME annonce aussitôt qu’il y a un changement, et nous le lisons.',
  'push/topic': 'Le DME annonce aussitôt chaque changement et les compte\u00a0: une annonce perdue se remarque.',
  'push/SIU': 'Le DME envoie aussitôt chaque changement, et le renvoie jusqu’à ce qu’il soit reçu.',
  'changes/_lastUpdated': 'Chaque lecture ne porte que sur ce qui a changé depuis la précédente.',
  'changes/full looks': 'Le DME ne peut pas dire ce qui a changé\u00a0: chaque lecture porte sur tout l’horaire.',
  'deletions/history': 'L’historique du DME montre en quelques secondes ce qui a été supprimé; chaque élément est vérifié.',
  'deletions/full looks':
    'Une plage ou un rendez-vous supprimé, et non annulé, est remarqué à la lecture complète, toutes les quelques minutes.',
  'booking/transaction': 'Une réservation est inscrite d’un seul tenant, ou pas du tout.',
  'booking/steps':
    'Une réservation est inscrite par étapes\u00a0: la plage est retenue, le rendez-vous inscrit, la plage occupée; ce qui échoue en chemin est défait.',
  'booking/SRM, answered by SRR or SIU': 'Une réservation est définitive quand le DME y a répondu ou l’a montrée.',
  'booking/SRM, answered by ACK':
    'L’accusé de réception d’une demande vaut acceptation; un DME qui décide plus tard pourrait encore refuser.',
  'booking/none': 'Aucune adresse d’envoi (send_to) n’est configurée\u00a0: rien ne peut être réservé.',
  'conflict/If-Match': 'Une écriture est refusée si la plage a changé depuis sa lecture.',
  'conflict/read, write, read again':
    'Rien n’empêche deux écritures au même instant; après chaque réservation la plage est relue, et la nôtre est retirée si elle n’est pas seule.',
  'conflict/record system decides':
    'Les messages disent si une plage est encore libre; le DME le vérifie de nouveau quand une réservation lui est demandée.',
  'complete look/messages only':
    'HL7 v2 ne permet pas de demander l’horaire\u00a0: une plage est connue quand un message l’a nommée, et un message jamais envoyé manque.',
  'silence/suspends': 'Sans connexion ni message pendant le délai prévu des heures d’ouverture, la clinique est suspendue.',
  'silence/tolerated': 'Un DME qui cesse d’envoyer n’est pas remarqué; réglez quiet_after s’il garde sa connexion ouverte.',
};

const faults: Record<string, string> = {
  conflict: 'La plage n’est plus libre dans le DME.',
  rejected: 'Le DME a compris la demande et la refuse.',
  sign_in: 'Le DME ne nous laisse pas entrer\u00a0: vérifiez la clé, le mot de passe ou le certificat.',
  unreachable: 'Le DME ne répond pas, ou trop tard. Nous réessayons.',
  busy: 'Le DME demande d’attendre; nous réessayons quand il le permet.',
  server_error: 'Le DME a une panne de son côté, ou montre un état plus ancien qu’avant.',
  malformed: 'Ce que le DME montre ne peut pas être cru\u00a0: réponse illisible, incomplète, ou horaire qui a trop changé.',
};

/** The sentence of a way of working in French, or nothing when there is none. */
export function modeFr(what: string, mode: string): string | undefined {
  return modes[`${what}/${mode}`];
}

/** What a fault means, in French, or nothing when there is none. */
export function faultFr(code: string | undefined): string | undefined {
  return code === undefined ? undefined : faults[code];
}
