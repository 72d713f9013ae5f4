"""The words by which a task is known, in the languages that are asked in most.

Each is searched in a text of lower-case words between single spaces, with one more at either end: " sum up " is two words of
their own, " summar" begins a word. Scripts without spaces are searched in as they stand. No rule is here, only words.
"""

from __future__ import annotations


def _cues(*lines: str) -> tuple[str, ...]:
    """Cues divided by bars."""
    return tuple(cue for line in lines for cue in line.split("|"))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Code

CODE_WORDS = _words(
    "flexbox navbar cypress selenium playwright puppeteer pseudocode deno bun composer cron crontab "
    "makefile cmake jest vitest mocha "
    "junit eslint vite yarn pnpm pip conda virtualenv venv gradle maven hibernate symfony nextjs nuxt svelte vue tailwind "
    "scss dom yaml toml protobuf grpc kafka rabbitmq celery airflow hadoop bigquery mariadb elasticsearch ec2 aws jenkins "
    "ssh scp rsync grep sed chmod chown vim vscode intellij xcode flutter dart swiftui solidity wasm opengl cuda opencv "
    "sklearn keras matplotlib jupyter parser lexer bytecode jvm malloc struct structs enum enums typedef iterator "
    "coroutine coroutines goroutine goroutines semaphore multithreading concurrency bitwise recursion refactoring linter "
    "docstring docstrings boilerplate sdk orm crud oauth jwt csrf cors websocket websockets tcp udp stderr argv kwargs "
    "arraylist nullptr useeffect usestate setstate javac dotnet foreach elif println printf coroutinestackoverflow "
    "subprocess webhook webhooks serverless microservice microservices monorepo python javascript typescript golang c++ c# "
    "sql mysql postgresql postgres sqlite mongodb redis regex regexp regexes bash powershell dockerfile docker kubernetes "
    "kubectl terraform ansible nginx graphql webpack refactor debug debugging debugger compiler traceback stacktrace "
    "segfault unittest pytest npm html css php kotlin numpy dataframe pytorch tensorflow django fastapi laravel async "
    "nullpointerexception programming haskell clojure elixir matlab fortran cobol vba fizzbuzz leetcode quicksort "
    "mergesort mutex middleware backend frontend codebase github gitlab git linux awk stdin stdout api apis endpoint "
    "jquery angular rustc programmieren programmation programación programmiersprache oop localhost ubuntu subclass "
    "superclass typeerror valueerror keyerror indexerror syntaxerror"
)
CODE = _cues(
    " in node | csv file| one liner| pseudo code| class hierarchy| is not a function| abstract class| an interface in",
    " public class",
    " a div | the div | this diff | git diff| api returning| api returns| git push| git pull| git rebase| git merge",
    " a pointer in| pointer in c| getter| setter | for loops",
    "コンポーネント|컴포넌트|组件",
    " in react| my react| react native| react hooks| in pandas| pandas how| pandas dataframe| using pandas| with pandas ",
    " vba macro",
    " example program| small program| simple program| python program| c program| java program| example code| sample code",
    " the keyword",
    " compile | compiles | compiling | stack overflow error| off by one| base case| null check| type error| memory safety",
    " borrow of ",
    " indices of | an integer array| integer array| given a string| given a binary| given an array| linked lists",
    " return indices",
    " bucle while| bucle for| while schleife| for schleife| boucle for| boucle while| un tableau en php| tri d un tableau",
    " ciclo for",
    " commit message| makefile| a macro that| excel macro| spreadsheet formula| excel formula| cron expression",
    " config file| unit tests",
    " java |write a function| writes a function| function that |function to | function which | write code| write some code",
    " write a program| create a program that| a program that | a program to | program which | write a class| a recursive ",
    " write a method| write a script that| write a script to| unit test| source code| code review| code snippet",
    " this code ",
    " the code | my code | following code| code below| code above| some code | line of code| lines of code| piece of code",
    " fix the bug| fix this bug| stack trace| null pointer| segmentation fault| compile error| syntax error| runtime error",
    " time complexity| space complexity| big o | o 1 | o n | o log n| linked list| binary tree| binary search| binary heap",
    " hash map| hash table| hashmap| dynamic programming| data structure| sorting algorithm| merge sort| for loop",
    " while loop| recursive function| object oriented| design pattern| dependency injection| rest api| http request",
    " pull request| merge conflict| regular expression| command line| shell script| race condition| multithread",
    " web scraper",
    " database schema| primary key| foreign key| inner join| left join| stored procedure| react component| react app",
    " react hook",
    " type hint| memory leak| garbage collect| node js| in rust | in go | rust function| go function| in c | in ruby ",
    " in swift",
    " in scala | in perl | in julia | ruby on rails| spring boot| lru cache| an algorithm | algorithm that | algorithm to ",
    " web app| unix | cron job| json file| parse json| an array | array of | lambda function| environment variable",
    " web page that",
    " funktion die | eine funktion, | schreibe eine funktion| schreib eine funktion| quellcode| quelltext| programmier",
    " ein programm das | ein skript | ein script | implementier| implémente| fonction qui | code source| un script ",
    " un programme qui ",
    " función que | una función | código | un programa que | una consulta | implementa | algoritmo | scrivi una funzione",
    "funzione che ",
    " codice | un programma che | uma função| programa que | uma consulta | implemente | schrijf een functie| broncode",
    " een script ",
    " functie die | napisz funkcję| napisz program| napisz skrypt| fonksiyon yaz| program yaz| kod yaz",
    "напиши функц|напишите функц|функцию|фрагмент код| код |кода |скрипт|программу|реализуй|алгоритм",
    "冒泡|快速排序|排序算法|链表|二叉树|代码|写一个函数|编写函数|个函数|编写程序|写一个程序|算法|脚本|报错|编程|爬虫|数据库",
    "コード|関数を書|関数を作|関数を実装|プログラム|スクリプト|実装して|アルゴリズム|バグ|코드|파이썬|자바스크립트",
    "함수를 작성|함수를 만들|프로그램을|스크립트|구현|알고리즘|버그",
)
MAKES = _cues(
    " write | implement | create | build | develop | schreib| écri| escrib| scriv| escrev| schrijf|напиши|写|書いて|작성",
)
NO_CODE = _cues(
    " dress code| zip code| postal code| building code| penal code| civil code| código postal| código civil| código penal",
    " code of conduct| codice fiscale| codice civile| codice penale| movie script| area code| qr code| promo code",
    " morse code",
    " tv program| housing code| tax code| code sec | revenue code| commercial code| genetic code| bar code| prenatal",
    " fitness program| training program| workout program| python snake| code of ethics",
)
# Labelling, and reading out of a given text

EXTRACTION = _cues(
    " choose the category| choose a category| pick a category| pick the category| select the category",
    " best category| right category| correct category| into a table with| as a table with| fill in the| extract:",
    " classify:",
    " beleidigend| выдели |выдели имена|выделите|メールの差出人",
    " classify | categorize | categorise | extract | pull out | pick out | annotate | label each| label the | label this ",
    " label these| label every| label as | label it | tag each| tag every| tag the | tag this | tag these| sentiment ",
    " named entit",
    " entities in | positive or negative| negative or positive| very negative| very positive| positive, negative",
    " positive negative | spam or | or spam| is it spam",
    " toxic or | offensive or | is offensive| is toxic| is sarcastic| true or false for each| which category",
    " what category",
    " into categories| one of the following labels| one of the following categories| one of the following classes",
    " one of these labels| one of these categories| one of the labels| following labels| which label| what is the intent",
    " the intent of| the topic of | entail | entailment| detect the language| identify the language",
    " which language is this",
    " what language is | the language of | part of speech| assign a | assign one| assign each| assign the | assign this ",
    " list all the | find all the| find every| into json",
    " fill in the fields| into the fields| key entities| the entities| key value| span from",
    " into the schema| rate the sentiment",
    " klassifizier| kategorisier| ordne | extrahier| positiv oder negativ| positiv, negativ| positiv negativ| stimmung ",
    " entnimm",
    " welche kategorie| welcher kategorie| nenne alle | liste alle | finde alle | markiere | bestimme die sprache",
    " suche alle ",
    " classe | classez | classifie| catégorise| extrais | extraire | extrayez | étiquette | positif ou négatif| relève ",
    " repère ",
    " clasifica | clasifique | categoriza | extrae | extraiga | etiqueta | positivo o negativo| positiva o negativa",
    " negativo o positivo",
    " encuentra tod| sentimiento | sentimento | sentiment of | estrai | estrarre | etichetta | categorizza | trova tutt",
    " classifica | classifique | extraia | extrai | rotule | positivo ou negativo| positiva ou negativa| encontre tod",
    " classificeer | extraheer | positief of negatief| categoriseer | haal alle | vind alle | noem alle | sklasyfikuj",
    " wyodrębnij",
    " wypisz wszystkie| pozytywn| skategoryzuj| sınıflandır| olumlu mu| etiketle| tüm isimleri çıkar",
    "классифицир|извлек|положительн|отнеси |тональност|определи категор|определи язык|выдели все|найди в тексте все",
    "выпиши все",
    "分类|归类|提取|抽取|标注|情感|正面还是负面|正面或负面|找出所有|分類|抽出|抜き出|ラベル|感情を|ポジティブ|분류|추출",
    "라벨|감정|긍정|صنف|استخرج|वर्गीकृत|निकाल",
)
# A text is named from which something is to be read.
SOURCE = _cues(
    " this passage| the passage| following passage| this paragraph| the paragraph| following paragraph| from the text",
    " from this text| in the text| in this text| in this message| from the message| from it ",
    " following text| text below| the text above| in this sentence| in this paragraph",
    " in this email| in this e mail| from this e mail| from this email| from the email| in this review| in the review",
    " mentioned in| from the article| in this article| in this report| in this letter| in this note",
    " in the note | in this document",
    " in this invoice| in this recipe| in this transcript| in this story| job ad | job posting| in the report| in this log",
    " in diesem text| in diesem artikel| in dieser rechnung| in dieser nachricht| in dieser mail| in dieser e mail",
    " dans cet article| dans cette facture| dans ce message| en este artículo| en esta factura| de este texto| de este correo",
    " in questo articolo| in questo testo| in questa fattura| neste texto| neste artigo| nesta fatura| in deze tekst",
    " here is | here are | the above | according to the text| based on the text| product description| in the article",
    " in the passage| aus dem text| im text",
    " im folgenden text| aus diesem text| du texte| dans le texte| del texto| en el texto| dal testo| nel testo| do texto",
    " no texto",
    " uit de tekst| in de tekst| z tekstu| w tekście|из текста|в тексте|文中|从文本|本文から|文章から|次の文|글에서",
    "다음 글",
)
NOUNS = _cues(
    " questa notizia| questo articolo| esta noticia| esta notícia| diese meldung| dieser text| dieses ticket| ce ticket ",
    " обращени|письм|短信|この投稿|このツイート",
    "次のメール|以下のメール|このメール|以下の文|이 메일|다음 메일|下面的",
    " bewertung| kommentar| nachricht | nachrichten | anfrage | satz | sätze | rezension| rechnung | commentaire| avis ",
    " cette phrase",
    " courriel | facture | ce texte | ce tweet| ce message| comentario| reseña| este mensaje| esta frase| este texto ",
    " correo | factura ",
    " este tuit| este tweet| recensione| commento | questo messaggio | questo testo | fattura | comentário| avaliação",
    " esta mensagem| fatura | recensie| dit bericht | deze zin | deze tekst | factuur | questa frase",
    "отзыв|комментари|сообщени|запрос|твит|评论|这句话|句子|邮件|消息|短信|レビュー|この文|コメント|リプライ|리뷰|문장",
    "댓글",
)
JUDGED = _cues(
    " would you call| would you say| say whether| say if | diga se | dimmi se | di si | dis si ",
    " dis moi si| sag ob| sag mir ob",
    " é | zeg of| скажи|吗",
    " is | does | do | are | was | did | has | which | what is the | what are the | who | when | where | how many ",
    " whether | if | predict",
    " decide | determine | tell me | contain| mention| given the | rate | score | assign | mark | match | choose | select ",
    " pick | indicate",
    " flag | list | return | get the | give me the | give me all | find | identify | locate | spot | highlight | collect ",
    " pull | sort ",
    " ist | sind | enthält | welche| wer | wann | wo | ob | entscheide| bestimme| nenne | gib | markiere | est | sont ",
    " contient | quel",
    " qui | quand | indique| donne | identifie| es | contiene| qué | quién | cuándo | cuál | indica | determina ",
    " identifica | è | quale ",
    " chi | quando | qual | quem | welke | wie | wanneer | geef |какой|какая|к какой|кто|когда|определи|укажи|является",
    "是否|哪个|哪些|谁|什么|属于|选|どの|選んで|誰|いつ|何|ですか|어떤|누구|언제|무엇|인가",
)
READERS = _cues(
    " turn this into a table| turn it into a table| fill in | fill out | show me all | show me every | give me every ",
    " zeig mir alle| zeige alle| gib mir alle| nenne mir | saca | sácame | dame tod| muéstrame tod",
    " donne moi tou| montre moi tou",
    " dammi tutt| mostrami tutt| tira fuori | me dê tod| mostre tod| tire do | geef alle | geef me alle| toon alle",
    " pull | sort | mark | tag | label | list the | list all | list every | list only | return only| return all ",
    " identify | find all | spot ",
    " locate | highlight | predict | decide | determine | detect | assign | match | name the | name all | get the ",
    " get all | collect ",
    " parse | copy | flag | indicate | tell me whether| tell me if | say whether | say if | check if | check whether ",
    " choose one| pick one",
    " select one| one of these| yes or no| true or false | ja oder nein| oui ou non| sí o no| sì o no| sim ou não",
    " da oder nein",
    " suche | finde | nenne | entscheide| bestimme| trouve | trouvez | donne la liste | liste les | indique | encuentra ",
    " enumera ",
    " identifica | indica | trova | elenca | encontre | liste | zoek | vind | geef aan |найди|перечисли|укажи|определи",
    "выбери",
    "找出|列出|判断|选择|选出|見つけ|挙げて|選んで|判定|찾아|골라|판단",
)
MADE = _cues(
    " reply to| respond to| answer this | answer the ",
    " write | compose | create | draft | generate | explain | describe | continue | what do you think| your opinion| mean ",
    " means | meaning",
    " advice | help me | should i | how should i | how do i | how can i | imagine | invent | brainstorm| suggest | story ",
    " poem | essay about",
    " schreib| erkläre | erfinde | was hältst du| bedeutet| écris | rédige | explique | que penses| escribe| explica ",
    " qué opinas",
    " scrivi | spiega | escreva | schrijf | leg uit|напиши|объясни|придумай|写|解释|意思|書いて|説明|意味|작성|써줘|설명",
)
HERE = _cues(
    " here is | here are | hier ist | hier sind | voici | aquí está | ecco | aqui está ",
)
READ = _cues(
    " return | list the | list all | identify the | identify all| copy | quote | find the | find all | give me the ",
    " as json| name all",
)
LABELS = (
    *("Context:", "context:", "Passage:", "passage:", "Kontext:", "Contexte :", "Contexto:", "Contesto:", "<context>"),
)
LOOKUP = _cues(
    " lista los | lista las | enumera | elenca | liste | nenne | nombra | gib alle| gib mir| gib die | return the ",
    " welche | welcher | quelles | quels | quali | quais | cuáles ",
    " identify | find | list | name | give me the | determine | detect | return | copy | quote | parse | label | as json",
    " select ",
    " who | when | where | which | what is the | what was the | what are the names| how many | wer | wann | wo | qui ",
    " quand | où ",
    " quién | cuándo | dónde | chi | quando | dove | quem | onde | wie | wanneer | waar |кто |когда|где |谁|何时|哪里|誰",
    "いつ|どこ|누가|언제|어디",
)
HOW_TO = _cues(
    " how to | how do i | how do you| how can i | how can one| how does | how would you| why does | what does it mean",
    " wie kann ich | wie kann man | cómo puedo | cómo se | come si | como posso | hoe kan ik  | как |如何|怎么|どうやって",
    "어떻게",
)

# Mathematics

MATH_WORDS = _words(
    "dx dy dt arcsin arctan cos tan ln integrate derivative antiderivative differentiate polynomial eigenvalue eigenvalues "
    "eigenvector eigenvectors determinant quadratic logarithm cosine hypotenuse binomial modulo gcd lcm numerator "
    "denominator divisible divisor subring subrings automorphism bijection sqrt subspace subspaces commutative nonzero "
    "cardinality eigenspace isomorphic isomorphism homomorphism abelian subgroup subgroups coset cosets cyclic bijective "
    "injective surjective ableitung stammfunktion wahrscheinlichkeit gleichung gleichungssystem eigenwerte quadratwurzel "
    "nullstellen équation dérivée intégrale probabilité ecuación derivada probabilidad equazione derivata integrale "
    "probabilità equação probabilidade vergelijking afgeleide równanie pochodną prawdopodobieństwo denklemi türevini "
    "olasılığı"
)
MATH_WEAK = _words(
    "solve calculate compute equation equations probability fraction fractions percent percentage sum product ratio "
    "average median variance perimeter area volume radius diameter triangle rectangle circle square degrees cube prime "
    "even odd integer integers factor factors roots root slope matrix matrices vector vectors function functions converge "
    "converges digit digits coefficient theorem prove proof lemma simplify evaluate permutations combinations remainder "
    "divided multiply subtract discount speed dice inverse subset finite graph parabola tangent deviation x y z n minus "
    "kreis kreises rechteck rechtecks dreiecks cercle rayon rectangle círculo radio triángulo rectángulo cerchio raggio "
    "triangolo rettangolo raio retângulo triângulo driehoek rechthoek "
    "integral berechne löse beweise prozent bruch fläche umfang dreieck summe würfel vereinfache calcule résous démontre "
    "aire somme calcula resuelve demuestra suma área fracción dados calcola risolvi dimostra somma resolva bereken "
    "oppervlakte straal som cirkel bewijs oblicz rozwiąż hesapla çöz"
)
MATH = _cues(
    " determinant of| eigenvalues of| inverse of the matrix|% de |% von |% di |% van |% от| surface area",
    " the wurzel| wurzel aus| quadratwurzel| racine de| radice di| raíz de ",
    " wortel van| next number| percent off| reduced by| increased by| in the sequence| at least one six",
    " solve for | prove that| show that every| show that the | show that if | square root| cube root| percent of |% of ",
    " to the power",
    " derivative of| integral of| limit of| common multiple| common divisor| common factor| prime number",
    " standard deviation",
    " consecutive integers| system of equations| differential equation| vector space| arithmetic sequence",
    " geometric sequence",
    " is divided by| divided by | expected value of| in lowest terms| area of a| area of the| volume of a| volume of the",
    " perimeter of| circumference| probability that| probability of| how many ways| sum of the first| remainder when",
    " confidence interval",
    " quanto fa | quanto é | cuánto es | combien font | wieviel ist | wie viel ist | wat is de wortel",
    " real numbers| complex numbers| rational numbers| positive integer| linearly independent| if and only if",
    " group of order ",
    " of a group | commutative ring| abelian group| multiplicative group| permutation of| prime power| prime factor",
    " perfect square",
    " perfect cube| divisors of| whole number| arithmetic mean| arithmetic progression| geometric progression",
    " positive numbers",
    " digit number| digit integer| right triangle| isosceles| equilateral| hexagon| quadrilateral| radians| nearest tenth",
    " nearest hundredth| smallest number| largest number of | greatest number| a multiple of | factors of ",
    " compound interest",
    " inclusive how many| subset of r | set of integers| set of all | binary operation| identity matrix| complete graph",
    " to decimal| to binary| to hexadecimal| from binary| log base| natural log| by induction| without replacement",
    " what is the chance that",
    " minimum value of| maximum value of| the slope of| the line through| the cone| a cone | a sphere| a cylinder",
    " a cube with",
    " diviso | dividido por | dividido entre | geteilt durch | divisé par | multiplied by | racine carrée| raíz cuadrada",
    " radice quadrata",
    " raiz quadrada| größten gemeinsamen| kleinste gemeinsame| máximo común| mínimo común| al lanzar | find the value of",
    " value of x ",
    "уравнени|производн|интеграл|вероятност|докажи|вычисли|корень|найдите значение|площадь",
    "解方程|方程|导数|积分|概率|平方根|的面积|求证|证明|总和|方程式|微分|積分|確率|証明せよ|求めよ|求めなさい|平方|の和",
    "最大公約数|方程式を解",
    "방정식|미분|적분|확률|최대공약수|최소공배수|구하시오|구하세요|넓이|计算|計算し",
)
QUANTITY = _cues(
    " what does it cost| what does he pay| what does she pay| what do they pay| what is left| how many of each",
    " à quelle distance",
    " how heavy| how large| how big| how wide| how high| how deep| by what percent| by how much| by what factor",
    " wie schnell| wie groß",
    " wie hoch| wie schwer| wie teuer| quelle est| à quelle| cuál es su | cuál es el | cuál es la | qual è | qual é ",
    " a che velocità",
    " how many | how much | calculate | compute | how old | how far | how fast| how tall| what is the total",
    " what s the total| in total| what percent",
    " what is its | what are they | what fraction| how long will | how long does it take| what is the average",
    " what was the original",
    " what is the cost| what will be| find the | how long | at what | what is the price| what is the distance",
    " what is the number",
    " what distance| what rate| wie viele | wie viel | wieviele | wieviel | wie alt | wie lange | wie weit | combien ",
    " quel âge | cuánt",
    " cuál es el total| quanto | quanta | quanti | quante | quantos | quantas | hoeveel | ile | kaç |сколько|на сколько",
    "多少|几个|几只|几天|几本|还剩|いくつ|何個|何人|何円|いくら|何本|何枚|何時間|몇 |얼마|كم |कितने|कितना",
)
ASKED = _cues(
    " what is | what s | what was | what will | what does | what did | what should| what score| what speed| find ",
    " determine | how | when do they | when will they | at what time ",
    " was ist | wie groß| quel est | quelle est | cuál es | qual è | qual é | wat is |求|多大|何|얼마",
)
NUMBERS = _words(
    "two three four five six seven eight nine ten eleven twelve fifteen twenty thirty forty fifty sixty hundred thousand "
    "dozen twice half double triple quarter third zwei drei vier fünf sechs sieben acht neun zehn zwölf zwanzig hundert "
    "drittel hälfte doppelt deux trois quatre cinq sept huit neuf dix douze vingt cent moitié dos tres cuatro cinco seis "
    "siete ocho nueve diez doce veinte cien mitad doble due tre quattro cinque sei sette otto dieci venti metà doppio dois "
    "duas três quatro oito dez vinte metade twee drie vijf zes zeven tien twintig helft"
)

# Summaries

SHORTER = _cues(
    " short version| shorter | shorten | concise | overview | rundown | most important points| important points",
    " main facts| key facts",
    " essence | in a few sentences| in a few words| in one line| in one sentence| in two sentences| in three sentences",
    " in brief| briefly ",
    " sum this| sum it | key provisions| key ideas| core message| main message| central message| condensed | abridged ",
    " bottom line",
    " outline the main| what is this about| what s this about| kurz | kürzer| kurzform| in kürze| wichtigsten| bref ",
    " brièvement| en breve ",
    " brevemente| in breve| em breve| más corto| plus court| più breve| mais curto| kort | korter |кратко|коротко|суть",
    "главное|основные мысли",
    "一句话|简短|主要内容|要点|要旨|短く|三行で|핵심|짧게|간단히",
)
SUMMARY = _cues(
    " sum this up| sum that up| summing up| recapitulate|резюме|в двух словах",
    " summarize | summarise | summary | summaries | summarizing | summarization | summed up | sum up | tldr| tl dr",
    " key points| key takeaway| main points| main ideas| main takeaway| takeaways | in a nutshell",
    " the gist| condense | recap | synopsis| boil this| boil it| boil down| shorten the following| shorten this",
    " executive summary",
    " shorter version of| in one sentence what| what is this article about| what is this text about| brief overview of th",
    " abstract for",
    " the essentials| highlights of th| cliff notes| cliffsnotes| bullet points from| zusammenfass| zusammengefasst",
    " zusammen fassen",
    " fasse | fass | kernaussagen| die wichtigsten punkte| kurzfassung| kürze den| résume | résumer | résumez | un résumé",
    " le résumé",
    " points clés| en résumé| synthèse de| resume el | resume la | resume los | resume este| resume esto| resume en ",
    " resumir | resúme",
    " un resumen| resumen de| puntos clave| sintetiza | riassum| riassunto| sintesi d| punti chiave| resuma | um resumo",
    " resumo d",
    " pontos principais| resumir o | vat de | vat dit | vat het | samenvat| samengevat| kernpunten| streść| podsumuj",
    " streszczenie| özetle| özet",
    "кратко излож|резюмир|краткое содержание|перескажи кратко|сделай краткий|подведи итог|краткое изложение",
    "总结|摘要|概括|概述|归纳|要約|まとめて|概要を|요약|لخص|ملخص|सारांश|संक्षेप",
)

# A text is to be changed, not questioned: a chat, whatever the text holds.
REWORKED = _cues(
    " translate | translation of| rewrite | rephrase | paraphrase | proofread | correct the grammar| fix the grammar",
    " improve this",
    " improve the | polish | edit this | edit the following| continue the | continue this | reply to | respond to this",
    " make this",
    " write a reply| write a story| write a poem| übersetz| korrigier| formulier| umschreib| schreibe eine antwort",
    " traduis | traduire ",
    " traduisez | reformule| corrige | corriger | traduce | traduzca | reescribe| traduci | riscrivi | correggi | traduza ",
    " reescreva",
    " corrija | vertaal | herschrijf| verbeter | przetłumacz| çevir|переведи|перепиши|исправь|翻译|改写|润色|翻訳|書き直",
    "添削|번역|고쳐",
)

# Documents

DOCUMENT = _cues(
    " document | report | article | contract | passage | paper | memo | transcript | policy | agreement | manual | text ",
    " above | below",
    " context | essay | chapter | letter | attached | excerpt | lease | statement | dokument| bericht| vertrag| artikel",
    " texte | rapport ",
    " contrat | documento | informe | artículo | contrato | texto | articolo | contratto | testo | artigo | relatório ",
    " tekst | verslag",
    " author | autor|документ|договор|статья|текст|отчет|文章|文档|上文|合同|报告|文書|記事|本文|契約|문서|계약|기사|본문",
)
QUESTION = _cues(
    " what | why | how | who | when | where | which | does | did | do | is | are | can | could | would | should | explain",
    " compare| describe",
    " tell me| discuss| list | according to| answer| was | were | warum | wie | wer | wann | wo | welche| darf | dürfen ",
    " kann | muss ",
    " erkläre| pourquoi | quel| qui | que | quand | est-ce| explique| qué | por qué | cómo | quién | cuándo | cuál| dónde ",
    " perché | come | chi | cosa | quale | por que | quem | qual | waarom | wat | hoe | welke |почему|как |что |кто |когда",
    "какие",
    "吗|什么|为什么|如何|怎么|哪|谁|何|なぜ|どう|誰|ですか|무엇|왜|어떻게|누가|인가",
)

# A turn that goes on with what was said before.
FOLLOWING = _cues(
    " it | that | this | them | these | those | same | again | instead | previous | above | another | continue | go on ",
    " and | now | also",
    " shorter | longer | why | more | next | else | es | das | noch | jetzt | weiter | kürzer | warum | nochmal | und ",
    " ça | cela | encore ",
    " maintenant | et | pourquoi | plus | lo | eso | esto | ahora | otra | más | y | por qué | ora | ancora | questo ",
    " isso | agora | mais",
    " nu | dit | dat | nog |это|теперь|ещё|еще|它|这个|继续|再|それ|これ|続け|もう|그것|이것|계속|다시",
)
SMALL_TALK = _cues(
    " thanks| thank you| hello| hi | hey | good morning| goodbye| bye | great | danke | hallo | merci | bonjour| gracias ",
    " hola ",
    " grazie | ciao | obrigad| bedankt |спасибо|привет|谢谢|你好|ありがとう|こんにちは|감사|안녕",
)

CUES = {
    "code": CODE,
    "no_code": NO_CODE,
    "makes": MAKES,
    "extraction": EXTRACTION,
    "source": SOURCE,
    "here": HERE,
    "read": READ,
    "nouns": NOUNS,
    "judged": JUDGED,
    "readers": READERS,
    "made": MADE,
    "shorter": SHORTER,
    "lookup": LOOKUP,
    "how_to": HOW_TO,
    "math": MATH,
    "quantity": QUANTITY,
    "asked": ASKED,
    "summary": SUMMARY,
    "reworked": REWORKED,
    "document": DOCUMENT,
    "question": QUESTION,
    "following": FOLLOWING,
    "small_talk": SMALL_TALK,
}
