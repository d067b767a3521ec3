// The sentences in which the program says what is wrong with a record system, in French. They are written in Go
// (transport/fhir, transport/hl7, engine/health, engine/schedule); a test of the program holds the two together.
// A sentence in English stands for itself: "…" is what varies, and stays as it is.

const sentences: [string, string][] = [
  ['A … of the record system has a field of the wrong shape.', 'Une ressource … du DME a un champ de la mauvaise forme.'],
  ['A … of the record system has no id.', 'Une ressource … du DME n’a pas d’identifiant.'],
  ['A field for the record system cannot be written.', 'Un champ destiné au DME ne peut pas être écrit.'],
  ['A resource of the record system cannot be edited.', 'Une ressource du DME ne peut pas être modifiée.'],
  ['A search of the record system has more than … pages.', 'Une recherche dans le DME a plus de … pages.'],
  ['A slot that is held for us cannot be written.', 'Une plage retenue pour nous ne peut pas être écrite.'],
  ['An address of the record system cannot be used.', 'Une adresse du DME est inutilisable.'],
  ['An answer of the record system is larger than 8 MiB.', 'Une réponse du DME dépasse 8 Mio.'],
  ['An answer of the record system is not a resource that can be read.', 'Une réponse du DME n’est pas une ressource lisible.'],
  ['An answer of the record system is not the … that was asked for.', 'Une réponse du DME n’est pas ce qui était demandé (…).'],
  ['Another appointment is on the slot.', 'Un autre rendez-vous occupe la plage.'],
  [
    'Another appointment was written on the slot at the same moment; ours was taken back.',
    'Un autre rendez-vous a été inscrit sur la plage au même instant; le nôtre a été retiré.',
  ],
  ['No look at the record system worked for … s.', 'Aucune lecture du DME n’a réussi depuis … s.'],
  ['No send_to is configured, so nothing can be booked.', 'Aucune adresse send_to n’est configurée\u00a0: rien ne peut être réservé.'],
  ['No send_to is configured, so nothing can be cancelled.', 'Aucune adresse send_to n’est configurée\u00a0: rien ne peut être annulé.'],
  ['Relais is stopping.', 'Relais s’arrête.'],
  ['Suspended by hand.', 'Suspendu à la main.'],
  ['The address of a next page cannot be read.', 'L’adresse de la page suivante est illisible.'],
  ['The address of a next page leads to another server.', 'L’adresse de la page suivante mène à un autre serveur.'],
  [
    'The appointment is not one of this record system; cancel it there by hand.',
    'Le rendez-vous ne vient pas de ce DME; annulez-le à la main.',
  ],
  ['The booking cannot be written.', 'La réservation ne peut pas être écrite.'],
  [
    'The booking names no patient or slot that the record system can know.',
    'La réservation ne nomme ni patient ni plage que le DME puisse connaître.',
  ],
  ['The booking names no patient that the record system can know.', 'La réservation ne nomme aucun patient que le DME puisse connaître.'],
  ['The booking was made and cancelled since.', 'La réservation a été faite, puis annulée.'],
  ['The booking was made and cannot be kept now.', 'La réservation est faite, mais ne peut pas être enregistrée maintenant.'],
  ['The cancellation was made and cannot be kept now.', 'L’annulation est faite, mais ne peut pas être enregistrée maintenant.'],
  ['The history of … is not there any more (…).', 'L’historique de … n’est plus offert (…).'],
  ['The name of the record system\'s server is not known.', 'Le nom du serveur du DME est inconnu.'],
  ['The pages of a search of the record system go round in a circle.', 'Les pages d’une recherche dans le DME tournent en rond.'],
  ['The place where the last look ended cannot be read.', 'Le point où la dernière lecture s’est arrêtée est illisible.'],
  ['The record system accepted the booking and does not show it.', 'Le DME a accepté la réservation et ne la montre pas.'],
  ['The record system announced … matches and sent ….', 'Le DME a annoncé … résultats et en a envoyé ….'],
  ['The record system answered … of … parts of a transaction.', 'Le DME a répondu à … parties sur … d’une transaction.'],
  ['The record system answered with another resource than was asked for.', 'Le DME a répondu par une autre ressource que celle demandée.'],
  ['The record system answers other requests than ours.', 'Le DME répond à d’autres demandes que les nôtres.'],
  ['The record system answers with an error of its own (…).', 'Le DME répond par une erreur interne (…).'],
  ['The record system answers with an error of its own.', 'Le DME répond par une erreur interne.'],
  ['The record system asks to wait (…).', 'Le DME demande d’attendre (…).'],
  ['The record system asks to wait.', 'Le DME demande d’attendre.'],
  ['The record system cannot be reached.', 'Le DME est injoignable.'],
  ['The record system cannot search for patients (…).', 'Le DME ne sait pas chercher de patients (…).'],
  ['The record system cannot be reached: no way leads to its network.', 'Le DME est injoignable\u00a0: aucun chemin ne mène à son réseau.'],
  [
    'The record system cannot be reached: nothing takes connections at its address and port.',
    'Le DME est injoignable\u00a0: rien ne prend les connexions à son adresse et à son port.',
  ],
  ['The record system carried out a transaction in part.', 'Le DME n’a exécuté qu’une partie d’une transaction.'],
  ['The record system closed the connection without an answer.', 'Le DME a fermé la connexion sans répondre.'],
  ['The record system did not answer in time.', 'Le DME n’a pas répondu à temps.'],
  ['The record system does not answer.', 'Le DME ne répond pas.'],
  ['The record system does not know … (…); is the base URL right?', 'Le DME ne connaît pas … (…); base_url est-elle la bonne?'],
  [
    'The record system does not know the patient, or refuses the booking for them (…).',
    'Le DME ne connaît pas le patient, ou refuse la réservation pour lui (…).',
  ],
  ['The record system does not let us in (…).', 'Le DME ne nous laisse pas entrer (…).'],
  ['The record system does not let us in.', 'Le DME ne nous laisse pas entrer.'],
  ['The record system does not say what it can do.', 'Le DME ne dit pas ce qu’il sait faire.'],
  ['The record system does not speak HTTPS at this address and port.', 'Le DME ne parle pas HTTPS à cette adresse et à ce port.'],
  ['The record system does not speak TLS where bookings are sent.', 'Le DME ne parle pas TLS là où les réservations sont envoyées.'],
  ['The record system does not take subscriptions (…).', 'Le DME n’accepte pas les abonnements (…).'],
  ['The record system does not take transactions (…).', 'Le DME n’accepte pas les transactions (…).'],
  ['The record system failed.', 'Le DME a fait défaut.'],
  ['The record system has an error of its own (…).', 'Le DME a une erreur interne (…).'],
  [
    'The record system is not connected and has sent nothing for more than ….',
    'Le DME n’est pas connecté et n’a rien envoyé depuis plus de ….',
  ],
  ['The record system redirects elsewhere, which is not followed.', 'Le DME renvoie ailleurs, ce que Relais ne suit pas.'],
  [
    'The record system refuses a write because of a newer state that it does not show.',
    'Le DME refuse une écriture à cause d’un état plus récent qu’il ne montre pas.',
  ],
  ['The record system refuses our certificate.', 'Le DME refuse notre certificat.'],
  ['The record system refuses our requests (…).', 'Le DME refuse nos demandes (…).'],
  ['The record system refuses the booking: the slot is not free there (…).', 'Le DME refuse la réservation\u00a0: la plage n’y est pas libre (…).'],
  ['The record system refuses the cancellation (…).', 'Le DME refuse l’annulation (…).'],
  ['The record system refuses the request (…).', 'Le DME refuse la demande (…).'],
  ['The record system refuses to be read: …', 'Le DME refuse d’être lu\u00a0: …'],
  ['The record system said no.', 'Le DME a refusé.'],
  ['The record system says that something changed meanwhile (…).', 'Le DME dit que quelque chose a changé entre-temps (…).'],
  ['The record system shows an older state than it showed before.', 'Le DME montre un état plus ancien qu’avant.'],
  [
    'The record system shows another booking than the one that was written.',
    'Le DME montre une autre réservation que celle qui a été écrite.',
  ],
  ['The record system shows nothing of what it showed before.', 'Le DME ne montre plus rien de ce qu’il montrait.'],
  ['The record system takes no appointments (…).', 'Le DME n’accepte aucun rendez-vous (…).'],
  [
    'The record system takes no connection at send_to; check the address, and that nothing between blocks the port.',
    'Le DME ne prend aucune connexion à send_to; vérifiez l’adresse, et que rien ne bloque le port en chemin.',
  ],
  [
    'The record system wants a certificate of ours that it can trust, or the one it has from us has expired.',
    'Le DME veut un certificat de notre part auquel il puisse se fier, ou celui qu’il a reçu est expiré.',
  ],
  ['The record system\'s answer cannot be read.', 'La réponse du DME est illisible.'],
  ['The record system\'s answer is not an MLLP message.', 'La réponse du DME n’est pas un message MLLP.'],
  ['The record system\'s certificate has expired or is not valid yet.', 'Le certificat du DME est expiré, ou pas encore valide.'],
  ['The record system\'s certificate has expired, or our clock is wrong.', 'Le certificat du DME est expiré, ou notre horloge est fausse.'],
  [
    'The record system\'s certificate is not one that we trust; check tls.ca_file and the name in send_to.',
    'Nous ne nous fions pas au certificat du DME; vérifiez tls.ca_file et le nom dans send_to.',
  ],
  [
    'The record system\'s certificate is not trusted or is for another name.',
    'Le certificat du DME n’est pas fiable, ou est établi à un autre nom.',
  ],
  ['The record system\'s clock is … ahead of ours.', 'L’horloge du DME avance de … sur la nôtre.'],
  ['The record system\'s clock is … behind ours.', 'L’horloge du DME retarde de … sur la nôtre.'],
  ['The reference to a resource of the record system cannot be used.', 'La référence à une ressource du DME est inutilisable.'],
  ['The refusal of the booking cannot be kept now.', 'Le refus de la réservation ne peut pas être enregistré maintenant.'],
  ['The request to the record system was given up.', 'La demande au DME a été abandonnée.'],
  [
    'The server does not say where to sign in (.well-known/smart-configuration, …); set the token URL.',
    'Le serveur ne dit pas où s’authentifier (.well-known/smart-configuration, …); précisez token_url.',
  ],
  [
    'The sign-in address that the server names cannot be used; set the token URL.',
    'L’adresse d’authentification que le serveur nomme est inutilisable; précisez token_url.',
  ],
  ['The schedule came back empty; this is not believed.', 'L’horaire est revenu vide; Relais n’y croit pas.'],
  [
    '… of … coming slots vanished at once; this is not believed.',
    '… plages à venir sur … ont disparu d’un coup; Relais n’y croit pas.',
  ],
  [
    '… of … coming appointments vanished at once; this is not believed.',
    '… rendez-vous à venir sur … ont disparu d’un coup; Relais n’y croit pas.',
  ],
  ['The sign-in request cannot be signed with the private key.', 'La clé privée ne permet pas de signer la demande d’authentification.'],
  [
    'The sign-in server refuses our client ID, key or scope (…).',
    'Le serveur d’authentification refuse notre identifiant, notre clé ou la portée demandée (…).',
  ],
  ['The sign-in server\'s answer holds no bearer token.', 'La réponse du serveur d’authentification ne contient pas de jeton.'],
  ['The slot is gone.', 'La plage a disparu.'],
  ['The slot is not free any more.', 'La plage n’est plus libre.'],
  ['The slot is not known any more.', 'La plage n’est plus connue.'],
  ['The slot is not known to come from this record system.', 'Rien ne dit que la plage vient de ce DME.'],
  ['The slot kept changing while it was being booked.', 'La plage n’a cessé de changer pendant la réservation.'],
  ['The slot was moved to another time.', 'La plage a été déplacée.'],
  ['The subscription cannot be written.', 'L’abonnement ne peut pas être écrit.'],
  [
    'The suspension by hand is over; the schedule is being read again.',
    'La suspension à la main est levée; l’horaire est en cours de relecture.',
  ],
  ['The transaction cannot be written.', 'La transaction ne peut pas être écrite.'],
  ['There is no sign-in server at the token URL (…).', 'Il n’y a pas de serveur d’authentification à token_url (…).'],
  ['What the record system sent cannot be kept now.', 'Ce que le DME a envoyé ne peut pas être enregistré maintenant.'],
  [
    'What the record system sent cannot be read from the store now.',
    'Ce que le DME a envoyé ne peut pas être relu maintenant.',
  ],
  ['What was to be written is gone.', 'Ce qui devait être écrit a disparu.'],
];

const escaped = (s: string) => s.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
const patterns = sentences.map(([en, fr]) => ({ en: new RegExp(`^${en.split('…').map(escaped).join('(.+?)')}$`), fr }));

/** What varies may be a sentence itself. */
const inner = (s: string) => sentenceFr(s) ?? s;

/** A sentence of the program about a record system in French, or nothing when it is not known. */
export function sentenceFr(detail: string): string | undefined {
  for (const p of patterns) {
    const m = p.en.exec(detail);
    if (!m) continue;
    let n = 0;
    return p.fr.replace(/…/g, () => inner(m[++n] ?? '…'));
  }
  return undefined;
}
