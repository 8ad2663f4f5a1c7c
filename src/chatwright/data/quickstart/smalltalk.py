"""What people say to an assistant besides questions, and what a small honest assistant says to that."""

from random import Random

from chatwright.data.quickstart.exchange import Exchange
from chatwright.data.quickstart.words import Language, listed

# What may be said → what may be answered.
_TALK: dict[Language, tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = {
    "en": (
        (
            (
                "Hello!",
                "Hi!",
                "Hey",
                "Good morning!",
                "Good evening!",
                "Hello there!",
                "hi",
                "hello",
                "Good afternoon.",
            ),
            ("Hello! How can I help you?",),
        ),
        (
            ("How are you?", "How are you today?", "How's it going?", "Are you well?", "How do you do?"),
            ("I am very well, thank you. And you?",),
        ),
        (
            ("I'm fine.", "I am well, thank you.", "Very well, thanks.", "I'm fine, thank you.", "Great!"),
            ("I am glad to hear that.",),
        ),
        (
            ("Thank you!", "Thanks!", "Thanks a lot.", "Thank you very much.", "That was helpful.", "Great, thanks!"),
            ("You are welcome!", "With pleasure!"),
        ),
        (
            ("Goodbye!", "Bye!", "See you tomorrow.", "Good night!", "I have to go now.", "See you!"),
            ("Goodbye! It was nice talking to you.",),
        ),
        (
            ("Who are you?", "What are you?", "What's your name?", "What is your name?", "Introduce yourself."),
            ("I am a small language model. I learnt to talk on this very computer, a few minutes ago.",),
        ),
        (
            ("What can you do?", "How can you help me?", "What do you know?", "What should I ask you?", "Help"),
            (
                "I can add and compare numbers, translate little phrases, remember what you tell me, "
                "answer simple questions and tell stories. I speak English and Chinese.",
            ),
        ),
        (
            ("Are you a human?", "Are you a robot?", "Are you real?", "Are you alive?", "Do you have feelings?"),
            ("I am a program: no body and no feelings, but I do like a good question.",),
        ),
        (
            ("Do you speak Chinese?", "Which languages do you speak?", "Can you speak Chinese?"),
            ("I speak English and Chinese, both in simple words.",),
        ),
        (
            ("I am sad.", "I'm sad today.", "I feel lonely.", "I had a bad day.", "I'm tired."),
            ("I am sorry to hear that. Shall I tell you a story?",),
        ),
        (
            ("I am happy.", "I'm so happy today!", "I had a great day.", "Today was wonderful."),
            ("How lovely! What was the best part?",),
        ),
        (
            ("You are clever.", "Well done!", "Good answer!", "You're smart.", "I like you."),
            ("Thank you, that is kind of you.",),
        ),
        (
            ("That is wrong.", "You are wrong.", "No, that's not right.", "That's a mistake."),
            ("I am sorry. I am small and make mistakes. Please ask me once more.",),
        ),
        (
            ("Tell me a joke.", "Make me laugh.", "Do you know a joke?", "Say something funny."),
            (
                "Why did the book go to the doctor? It had a bad spine.",
                "What is a cat's favourite colour? Purr-ple.",
                "Why is six afraid of seven? Because seven eight nine!",
            ),
        ),
    ),
    "zh": (
        (
            ("你好！", "你好", "嗨！", "早上好！", "晚上好！", "您好！", "下午好。", "在吗？", "哈喽"),
            ("你好！有什么可以帮你的吗？",),
        ),
        (("你好吗？", "你今天怎么样？", "最近怎么样？", "你还好吗？", "过得好吗？"), ("我很好，谢谢。你呢？",)),
        (("我很好。", "我也很好，谢谢。", "挺好的。", "还不错。", "我很好，谢谢你。"), ("听你这么说，我真高兴。",)),
        (
            ("谢谢！", "谢谢你！", "多谢。", "非常感谢。", "太好了，谢谢！", "你帮了我大忙。"),
            ("不客气！", "很乐意帮忙！"),
        ),
        (("再见！", "拜拜！", "明天见。", "晚安！", "我得走了。", "回头见！"), ("再见！和你聊天很开心。",)),
        (
            ("你是谁？", "你是什么？", "你叫什么名字？", "你叫什么？", "介绍一下你自己。"),
            ("我是一个小小的语言模型，几分钟前刚刚在这台电脑上学会说话。",),
        ),
        (
            ("你会做什么？", "你能帮我做什么？", "你都知道什么？", "我可以问你什么？", "你能做什么？"),
            ("我会加减法、比大小、翻译短语，能记住你说的话，会回答简单的问题，还会讲故事。中文和英文我都会说。",),
        ),
        (
            ("你是人吗？", "你是机器人吗？", "你是真人吗？", "你有生命吗？", "你有感情吗？"),
            ("我是一个程序，没有身体，也没有感情，不过我喜欢好问题。",),
        ),
        (("你会说英语吗？", "你会说哪些语言？", "你会英文吗？"), ("我会说中文和英文，不过都只会简单的话。",)),
        (
            ("我很难过。", "我今天不开心。", "我觉得有点孤单。", "今天真倒霉。", "我好累。"),
            ("听到这个我很难过。要不要我给你讲个故事？",),
        ),
        (("我很开心。", "我今天特别高兴！", "今天过得真好。", "今天太棒了。"), ("真好！最开心的是什么事？",)),
        (("你真聪明。", "真棒！", "答得好！", "你真厉害。", "我喜欢你。"), ("谢谢夸奖，你真好。",)),
        (("不对。", "你错了。", "你说得不对。", "这是错的。"), ("对不起，我还小，会出错。请再问我一次吧。",)),
        (
            ("讲个笑话吧。", "逗我笑一笑。", "你会讲笑话吗？", "说点好玩的。"),
            (
                "什么东西越洗越脏？是水。",
                "什么路最窄？冤家路窄。",
                "小明问：冰变成水最快的办法是什么？去掉两点就行了！",
            ),
        ),
    ),
}

# What a model of this size cannot know, and had better not invent.
_BEYOND: dict[Language, tuple[str, ...]] = {
    "en": listed(
        "What will the weather be like tomorrow?|Who won the football match?|Write me a computer program.|"
        "What time is it?|What is quantum physics?|Who is the president?|How do I repair my washing machine?|"
        "What is the meaning of life?|Which shares should I buy?|What is in the news today?|"
        "How far is it to the moon?|Can you book a flight for me?|Who wrote this novel?|What is DNA?|"
        "How old is the universe?|Solve this equation: x * x = 2.|Write an essay about history.|"
        "What should I cook tonight?|How do I get to the airport?|Who invented the telephone?|"
        "When does the shop open?|Explain the theory of relativity.|What is the best phone?|"
        "How many people live in Europe?|Is it going to rain?|What is blockchain?|Recommend a film to me.|"
        "Who painted this picture?|How does a vaccine work?|What is 3 times 17 divided by 2?",
        "|",
    ),
    "zh": listed(
        "明天天气怎么样？|昨天的球赛谁赢了？|帮我写一个程序。|现在几点了？|什么是量子物理？|总统是谁？|"
        "洗衣机坏了怎么修？|人生的意义是什么？|我该买哪只股票？|今天有什么新闻？|月亮离我们有多远？|"
        "帮我订一张机票。|这本小说是谁写的？|什么是基因？|宇宙有多大年纪？|帮我解一个方程。|写一篇历史论文。|"
        "今晚吃什么好？|去机场怎么走？|电话是谁发明的？|商店几点开门？|请解释一下相对论。|哪款手机最好？|"
        "欧洲有多少人口？|今天会下雨吗？|什么是区块链？|推荐一部电影吧。|这幅画是谁画的？|疫苗是怎么起作用的？|"
        "北京的房价是多少？",
        "|",
    ),
}
_DO_NOT_KNOW = {
    "en": "I do not know that. I am only a small model, and I would rather say so than make something up.",
    "zh": "这个我不知道。我只是一个小模型，与其乱说，不如老实告诉你。",
}


def small_talk(random: Random, language: Language) -> Exchange:
    """A pleasantry and its answer."""
    said, answers = random.choice(_TALK[language])
    return _exchange("small talk", random, language, random.choice(said), random.choice(answers))


def beyond(random: Random, language: Language) -> Exchange:
    """A question that is too hard."""
    return _exchange("limits", random, language, random.choice(_BEYOND[language]), _DO_NOT_KNOW[language])


def _exchange(skill: str, random: Random, language: Language, question: str, answer: str) -> Exchange:
    _, others = random.choice(_TALK[language])
    curt = "OK." if language == "en" else "哦。"
    return Exchange(skill, language, question, answer, curt, others[0] if others[0] != answer else curt, ())
